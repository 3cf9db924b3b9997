"""Which driver a Serve application belongs to: Serve's actors outlive a driver that is killed, and block the next one.

A driver that serves holds a named actor. Ray ends it with the driver, however that ends: no heartbeat is needed.
"""

from typing import Any

import ray
from ray.serve.context import _get_global_client
from ray.serve.schema import APIType, ServeInstanceDetails

NAME, NAMESPACE = "serve-owner", "longstrap"


class _Owner:
    """Does nothing but live as long as its driver."""


def claim() -> Any:
    """Make this driver the owner, until it ends or calls `release` with what is returned.

    Raises:
        ValueError: another living driver is.
    """
    return ray.remote(_Owner).options(name=NAME, namespace=NAMESPACE, num_cpus=0).remote()


def release(owner: Any) -> None:
    """Give it up."""
    ray.kill(owner)


def is_left_behind(application: str) -> bool:
    """Whether a driver deployed this application and lives no more; one of a file (RayService) needs no driver."""
    details = ServeInstanceDetails(**_get_global_client().get_serve_details()).applications.get(application)
    return details is not None and details.source == APIType.IMPERATIVE and not _has_owner()


def _has_owner() -> bool:
    try:
        ray.get_actor(NAME, namespace=NAMESPACE)
    except ValueError:
        return False
    return True
