"""What the environment says: the cache, the cluster to join, secrets. Nothing else reads it."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """Folder for what comes from packages and hubs and all runs share: models, a node's copy of an index."""
    return Path(os.environ.get("LONGSTRAP_CACHE") or "~/.cache/longstrap").expanduser()


def ray_address() -> str | None:
    """Address of the Ray cluster to join, which `ray job submit` sets too; None: a Ray of the job's own."""
    address = os.environ.get("RAY_ADDRESS", "")
    return None if address in ("", "local") else address


def read_secret(variable: str) -> str | None:
    """Value of the environment variable that a `*_env` setting names; secrets never live in a recipe."""
    return os.environ.get(variable) or None
