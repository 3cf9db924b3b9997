"""Settings from environment variables: the cache, the cluster to join, secrets. No other module reads the
environment.
"""

import os
from pathlib import Path


def cache_dir() -> Path:
    """Folder for what all runs share: models from packages and hubs, and a node's local copy of an index."""
    return Path(os.environ.get("LONGSTRAP_CACHE") or "~/.cache/longstrap").expanduser()


def ray_address() -> str | None:
    """Address of the Ray cluster to join, which `ray job submit` sets too. None: the job starts its own local Ray."""
    address = os.environ.get("RAY_ADDRESS", "")
    return None if address in ("", "local") else address


def read_secret(variable: str) -> str | None:
    """Value of the environment variable that a `*_env` setting names. Secrets are never part of a recipe."""
    return os.environ.get(variable) or None
