"""The Serve application: a deployment for each model, and the ingress in front of them.

`build` is what a Serve config file imports (ray_jobs/kuberay/rayservice.yaml).
"""

from typing import Any

from ray import serve
from ray.serve import Application

from app.config import RunConfig, ServedModelConfig
from app.recipe import load_config
from app.serving.access import digest_of, require_key
from app.serving.ingress import Ingress
from app.serving.preflight import check_models
from app.serving.replica import ModelReplica, placement_bundles, placement_strategy
from app.serving.request_limits import Limits
from app.serving.sources import serve_section, served_files, served_source, served_tokens

MAX_INGRESS_REQUESTS = 100_000
"""More than all queues: only those refuse."""
HEALTH_CHECK_SEC, HEALTH_TIMEOUT_SEC = 5.0, 30.0
MAX_START_RETRIES = 2
SHUTDOWN_POLL_SEC = 0.5


def build(args: dict[str, Any]) -> Application:
    """The application of a recipe, for a Serve that others have started, and that others reach.

    Args:
        args: `config`, the recipe, and `overrides`, a mapping of dotted settings.

    Raises:
        UserError: The settings cannot work, or there is no API key.
    """
    overrides = [
        text for name, value in args.get("overrides", {}).items() for text in (f"--{name}", str(value))
    ]
    config = load_config(args["config"], overrides)
    check_models(config)
    return build_application(config, require_key(serve_section(config)))


def build_application(config: RunConfig, key: str | None) -> Application:
    """The application of checked settings.

    Args:
        config: With the section `serve`.
        key: Key that clients must send; only its digest goes to Ray.
    """
    settings = serve_section(config)
    handles: dict[str, Application] = {}
    lengths: dict[str, int | None] = {}
    for index, (name, served) in enumerate(settings.models.items()):
        lengths[name] = served_tokens(config, name, served_files(config, name))
        replicas = serve.deployment(ModelReplica).options(
            name=f"model-{index}-{name.replace('/', '--')}",
            graceful_shutdown_timeout_s=settings.drain_timeout_sec,
            **_replica_options(served),
        )
        handles[name] = replicas.bind(name, served, served_source(config, name), lengths[name])
    ingress = serve.deployment(serve.ingress()(Ingress)).options(
        name="ingress",
        num_replicas=1,
        max_ongoing_requests=MAX_INGRESS_REQUESTS,
        graceful_shutdown_timeout_s=settings.drain_timeout_sec,
        graceful_shutdown_wait_loop_s=SHUTDOWN_POLL_SEC,
        ray_actor_options={"num_cpus": 0},
    )
    return ingress.bind(
        handles,
        lengths,
        {name: served.max_queued_requests for name, served in settings.models.items()},
        {
            name: served.max_concurrent_requests * served.max_replicas + served.max_queued_requests
            for name, served in settings.models.items()
        },
        Limits(
            settings.max_body_bytes,
            settings.max_all_bodies_bytes,
            settings.body_timeout_sec,
            settings.request_timeout_sec,
            settings.max_sequences_per_request,
        ),
        None if key is None else digest_of(key),
    )


def _replica_options(served: ServedModelConfig) -> dict[str, Any]:
    """Options of a model's deployment: how many replicas, where, and how many requests each takes at once."""
    if served.min_replicas == served.max_replicas:
        number: dict[str, Any] = {"num_replicas": served.min_replicas}
    else:
        number = {
            "autoscaling_config": {
                "min_replicas": served.min_replicas,
                "max_replicas": served.max_replicas,
                "target_ongoing_requests": served.max_concurrent_requests,
            }
        }
    return {
        **number,
        "max_ongoing_requests": served.max_concurrent_requests,
        "max_queued_requests": served.max_queued_requests,
        "max_constructor_retry_count": MAX_START_RETRIES,
        "health_check_period_s": HEALTH_CHECK_SEC,
        "health_check_timeout_s": HEALTH_TIMEOUT_SEC,
        "graceful_shutdown_wait_loop_s": SHUTDOWN_POLL_SEC,
        "placement_group_bundles": placement_bundles(served),
        "placement_group_strategy": placement_strategy(served),
        # The bundles hold the resources; the replica's own process is in the first.
        "ray_actor_options": {"num_cpus": 0},
    }
