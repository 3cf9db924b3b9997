"""Which driver a Serve belongs to: Serve's actors outlive a driver that is killed, and block the next one.

A driver that serves holds a named actor. Ray ends it with the driver, however that ends: no heartbeat is needed. Which
Serve it has started is written down in Ray's own store: one that was killed early has no application on it yet.
"""

from typing import Any

import ray
from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put
from ray.serve.context import _get_global_client
from ray.serve.schema import APIType, ServeInstanceDetails

NAME, NAMESPACE = "serve-owner", "longstrap"
STARTED_KEY = "started-serve"


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


def remember_serve() -> None:
    """Write down that a driver of ours has started the Serve that runs now."""
    _internal_kv_put(STARTED_KEY, _serve_id(_get_global_client()), namespace=NAMESPACE)


def is_left_behind(application: str) -> bool:
    """Whether a driver started this Serve, or deployed this application on it, and lives no more.

    An application of a file (RayService) needs no driver.
    """
    client = _get_global_client(raise_if_no_controller_running=False)
    if client is None:
        return False
    details = ServeInstanceDetails(**client.get_serve_details()).applications.get(application)
    if details is None:
        is_ours = _internal_kv_get(STARTED_KEY, namespace=NAMESPACE) == _serve_id(client)
    else:
        is_ours = details.source == APIType.IMPERATIVE
    return is_ours and not _has_owner()


def _serve_id(client: Any) -> bytes:
    """Of a Serve: one that is started anew has another."""
    identity: bytes = client._controller._actor_id.binary()
    return identity


def _has_owner() -> bool:
    try:
        ray.get_actor(NAME, namespace=NAMESPACE)
    except ValueError:
        return False
    return True
