"""Who may ask: the API key that clients send, and when there must be one."""

import hashlib
import hmac
import ipaddress
from pathlib import Path

from app.config import ServeConfig, read_secret
from app.faults import UserError


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; a name counts as one that others reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_key(settings: ServeConfig) -> str | None:
    """The key that clients must send: of the file where one is named, else of the environment.

    Raises:
        UserError: the file can't be read, or what it or the environment holds is no key.
    """
    if settings.api_key_file is None:
        return _checked(read_secret(settings.api_key_env), f"serve.api_key_env: {settings.api_key_env}")
    field = f"serve.api_key_file: {settings.api_key_file!r}"
    try:
        text = Path(settings.api_key_file).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{field} can't be read ({error}); give a file with the key alone") from error
    if not text.strip():
        raise UserError(f"{field} is empty; put the key into it")
    return _checked(text.strip(), field)


def require_key(settings: ServeConfig) -> str:
    """The key, where others than this machine reach the server.

    Raises:
        UserError: there is none.
    """
    key = read_key(settings)
    if key is None:
        raise UserError(
            f"serve.host: {settings.host!r} lets others than this machine ask, and {settings.api_key_env} is not set "
            f"in the environment; export a key, name serve.api_key_file, or listen on 127.0.0.1"
        )
    return key


def digest_of(key: str) -> bytes:
    """What the server keeps of the key: settings and memory dumps of Ray's processes show no more."""
    return hashlib.sha256(key.encode()).digest()


def is_allowed(authorization: bytes | None, digest: bytes | None) -> bool:
    """Whether a request's `Authorization` header holds the key, in a time that tells nothing of it.

    Args:
        authorization: As sent.
        digest: Of the key; None: no key is asked for.
    """
    if digest is None:
        return True
    scheme, _, given = (authorization or b"").partition(b" ")
    sent = hashlib.sha256(given.strip()).digest()
    return hmac.compare_digest(sent, digest) and scheme.lower() == b"bearer"


def _checked(key: str | None, field: str) -> str | None:
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise UserError(f"{field} holds what no header can carry; give printable ASCII without blanks")
    return key
