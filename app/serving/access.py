"""Access control: the API key that clients send, and when one is required."""

import hashlib
import hmac
import ipaddress
from pathlib import Path

from app.config import ServeConfig
from app.endpoints.keys import checked_key, read_api_key
from app.faults import UserError


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address. A host name counts as reachable by others."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_key(settings: ServeConfig) -> str | None:
    """The key that clients must send: of the file where one is named, else of the environment.

    Raises:
        UserError: The file can't be read, or what it or the environment holds is no key.
    """
    if settings.api_key_file is None:
        return read_api_key("serve.api_key_env", settings.api_key_env)
    field = f"serve.api_key_file: {settings.api_key_file!r}"
    try:
        text = Path(settings.api_key_file).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{field} can't be read ({error}); give a file that contains only the key") from error
    if (key := checked_key(text, field)) is None:
        raise UserError(f"{field} is empty; put the key into it")
    return key


def require_key(settings: ServeConfig) -> str:
    """The key, where others than this machine reach the server.

    Raises:
        UserError: There is none.
    """
    key = read_key(settings)
    if key is None:
        raise UserError(
            f"serve.host: {settings.host!r} accepts requests from other machines, but {settings.api_key_env} is not "
            f"set in the environment; export a key, name serve.api_key_file, or listen on 127.0.0.1"
        )
    return key


def digest_of(key: str) -> bytes:
    """Digest of the key. The server keeps only this, so settings and memory dumps of Ray's processes don't reveal the
    key.
    """
    return hashlib.sha256(key.encode()).digest()


def is_allowed(authorization: bytes | None, digest: bytes | None) -> bool:
    """Whether a request's `Authorization` header holds the key, compared in constant time.

    Args:
        authorization: Value of the request's `Authorization` header.
        digest: Digest of the key. None: no key is required.
    """
    if digest is None:
        return True
    scheme, _, given = (authorization or b"").partition(b" ")
    sent = hashlib.sha256(given.strip()).digest()
    return hmac.compare_digest(sent, digest) and scheme.lower() == b"bearer"
