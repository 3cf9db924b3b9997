"""Keys of endpoints and hubs: read from the environment, checked, and shown nowhere from then on."""

from app.config import read_secret
from app.faults import UserError
from app.secrets import conceal


def read_api_key(field: str, variable: str) -> str | None:
    """The key in an environment variable; None where it is not set.

    Args:
        field: The setting that names the variable.
        variable: The variable.

    Raises:
        UserError: No header can carry what the variable holds.
    """
    return checked_key(read_secret(variable), f"{field}: {variable}")


def checked_key(text: str | None, place: str) -> str | None:
    """A key without the white space around it, which files and shells leave there; None where nothing is left.

    Args:
        text: As it was found.
        place: Setting and variable or file, for the message, which never shows the key.

    Raises:
        UserError: No header can carry it.
    """
    key = (text or "").strip()
    if not key:
        return None
    conceal(key)
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise UserError(
            f"{place} contains characters that no header can carry; give printable ASCII without blanks"
        )
    return key
