"""Checks before Ray starts that models can be served with these settings: models, lengths, memory, key, address.

Every fault is a UserError of one line: the field, the value, and what would be right.
"""

import socket
from pathlib import Path
from typing import Any

from app.checks import check_held_cpus, check_held_gpus, check_run_dir
from app.config import RunConfig, ServeConfig, ray_address
from app.faults import UserError
from app.models.engine_args import check_engine_args
from app.models.files import ModelFiles
from app.models.places import BUNDLED_PREFIX, resolve_model
from app.models.weights import check_tokenizer, check_weights
from app.serving.access import is_loopback, read_key, require_key
from app.serving.plan import check_plan
from app.serving.sources import serve_section, served_files, served_source, stage_to_come
from app.storage import Folder, is_remote

LOADED_FROM_SAFETENSORS = (None, "auto", "hf", "safetensors")
"""`load_format`s of vLLM that read a folder's own weights."""


def check_serving(config: RunConfig, may_be_to_come: bool = False) -> None:
    """What the server needs; for a plan alone, only what the models do.

    Args:
        config: The run's settings.
        may_be_to_come: Stages that have no export yet are trained before.

    Raises:
        UserError: They cannot be served with these settings.
    """
    serve = serve_section(config)
    check_models(config, may_be_to_come)
    if serve.plan:
        return
    if is_loopback(serve.host):
        read_key(serve)
    else:
        require_key(serve)
    if ray_address() is None:
        _check_devices(config, serve)
        _check_address(serve)
    check_run_dir(config)


def check_models(config: RunConfig, may_be_to_come: bool = False) -> None:
    """The part that is also right for a server on other machines: models, lengths, and what is known of memory.

    Args:
        config: The run's settings.
        may_be_to_come: Stages that have no export yet are trained before.

    Raises:
        UserError: A model is not there, is asked for more than it reads, or does not fit.
    """
    for name, served in serve_section(config).models.items():
        check_engine_args(f"serve.models.{name}.engine_args", served.engine_args)
        _check_length(config, name, served_files(config, name, may_be_to_come))
        if not (may_be_to_come and stage_to_come(config, name)):
            _check_files(f"serve.models.{name}.model", served_source(config, name), served.engine_args)
    check_plan(config, may_be_to_come)


def _check_files(field: str, source: str, engine_args: dict[str, Any]) -> None:
    """Look at the large files too: an engine that can't read them says so after a minute, in many lines."""
    if source.startswith(BUNDLED_PREFIX):
        return
    uri = source if is_remote(source) else resolve_model(source)
    if not is_remote(uri) and not Path(uri).is_dir():
        return
    folder = Folder(uri)
    if not engine_args.keys() & {"tokenizer", "skip_tokenizer_init"}:
        check_tokenizer(field, folder)
    if engine_args.get("load_format") in LOADED_FROM_SAFETENSORS:
        check_weights(field, folder)


def _check_length(config: RunConfig, name: str, files: ModelFiles) -> None:
    served = serve_section(config).models[name]
    asked = served.max_model_tokens
    if (
        asked is None
        or files.max_tokens is None
        or served.beyond_limit
        or "hf_overrides" in served.engine_args
    ):
        return
    if asked > files.max_tokens:
        raise UserError(
            f"serve.models.{name}.max_model_tokens: {asked} is more than the RoPE settings of {served.model} are made "
            f"for; at most {files.max_tokens}, or a stage that was trained longer, or beyond_limit: true"
        )


def _check_devices(config: RunConfig, serve: ServeConfig) -> None:
    models = serve.models
    num_cpus = sum(each.min_replicas * each.cpus_per_replica for each in models.values())
    remedy = ", or fewer models, min_replicas or cpus_per_replica"
    check_held_cpus(config, num_cpus, "the replicas of serve.models", remedy)
    num_gpus = sum(each.min_replicas * each.gpus_per_replica for each in models.values())
    name = next((name for name, each in models.items() if each.gpus_per_replica), "")
    check_held_gpus(f"serve.models.{name}.gpus_per_replica", num_gpus, "all models together")


def _check_address(serve: ServeConfig) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            serve.host.strip("[]"), serve.port, type=socket.SOCK_STREAM
        )[0]
    except OSError as error:
        raise UserError(
            f"serve.host: {serve.host!r} is not an address of this machine ({error}); for example 127.0.0.1 or 0.0.0.0"
        ) from error
    with socket.socket(family, kind, protocol) as probe:
        # As servers do: a port that only waits for its last connections to fade is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise UserError(
                f"serve.port: {serve.port} can't be opened on {serve.host} ({error.strerror}); give a free port "
                f"with --port"
            ) from error
