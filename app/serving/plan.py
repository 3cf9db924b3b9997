"""Size of weights and KV cache and how many requests fit, before a model is loaded: printed by `--plan`, used by
checks.
"""

from typing import Any

from app.config import RunConfig, ServedModelConfig, ray_address
from app.faults import UserError
from app.machine import gpu_memory_bytes, host_memory_bytes
from app.models.files import ModelFiles
from app.models.shape import ModelShape, shape_of, transformers_config
from app.quantities import DTYPE_BYTES, GIB
from app.serving.memory import Memory, ModelMemory
from app.serving.sources import serve_section, served_files, served_source, served_tokens

KIB = 2**10


def describe_plan(config: RunConfig) -> str:
    """What each model takes of the memory there is, as lines for a person.

    Raises:
        UserError: There is no such model.
    """
    serve = serve_section(config)
    blocks = [_describe(config, name, served) for name, served in serve.models.items()]
    return "\n".join(blocks)


def check_plan(config: RunConfig, may_be_to_come: bool = False) -> None:
    """Refuse what cannot fit, as far as sizes and memory are known.

    Args:
        config: The run's settings.
        may_be_to_come: Count with stages that have no export yet, too.

    Raises:
        UserError: The first model that does not; with the smallest change that would make it fit.
    """
    host_bytes = 0.0
    for name, served in serve_section(config).models.items():
        model = model_memory(config, name, served_files(config, name, may_be_to_come))
        memory = device_memory(name, served)
        if model is None:
            continue
        if memory is not None and not model.fits(memory):
            raise UserError(model.shortage(f"serve.models.{name}", memory))
        if not served.gpus_per_replica:
            host_bytes += model.host_bytes() * served.min_replicas
    if ray_address() is None and host_bytes > host_memory_bytes():
        raise UserError(
            f"serve.models: need {host_bytes / GIB:.1f} GiB together, and this machine has "
            f"{host_memory_bytes() / GIB:.1f}; leave a model out, or give less cpu_kv_cache_gib or min_replicas"
        )


def model_memory(config: RunConfig, name: str, files: ModelFiles) -> ModelMemory | None:
    """Sizes of a served model; None where its files do not tell them.

    That is so for one on a hub that is out of reach, for quantized weights, and for layers that keep something else
    than keys and values of all tokens.
    """
    served = serve_section(config).models[name]
    tokens = served_tokens(config, name, files)
    settings = files.config
    if settings is None or tokens is None or not _keeps_all_keys(settings):
        return None
    shape = _shape(f"serve.models.{name}.model", served.model, settings)
    dtype = _dtype(served, settings)
    return None if shape is None or dtype is None else ModelMemory(served, shape, dtype, tokens)


def device_memory(name: str, served: ServedModelConfig) -> Memory | None:
    """Memory of one device of a model; None on a cluster, unless a setting gives it."""
    if served.device_memory_gib is not None:
        return Memory(served.device_memory_gib * GIB, f"serve.models.{name}.device_memory_gib")
    if ray_address() is not None:
        return None
    if not served.gpus_per_replica:
        return Memory(host_memory_bytes(), "this machine's memory")
    gpus = gpu_memory_bytes()
    return Memory(min(gpus), "this machine's smallest GPU") if gpus else None


def _describe(config: RunConfig, name: str, served: ServedModelConfig) -> str:
    files = served_files(config, name)
    model, memory = model_memory(config, name, files), device_memory(name, served)
    device = (
        f"{served.gpus_per_replica:g} GPUs (tensor parallel {served.tensor_parallel_size}, pipeline parallel "
        f"{served.pipeline_parallel_size})"
        if served.gpus_per_replica
        else "a CPU"
    )
    lines = [f"{name}: {served_source(config, name)} on {device}"]
    if model is None:
        lines.append(
            "  not known: its files are out of reach, quantized, or of layers with a cache of their own"
        )
        return "\n".join(lines)
    per_token, kind = model.kv_bytes_per_token, model.served.kv_cache_dtype
    lines.append(f"  weights   {model.weights_bytes / GIB:,.1f} GiB in {model.weight_dtype}")
    lines.append(
        f"  KV cache  {per_token / KIB:,.1f} KiB a token ({model.weight_dtype if kind == 'auto' else kind}), "
        f"{per_token * model.tokens / GIB:,.1f} GiB at {model.tokens:,} tokens"
    )
    if memory is None:
        lines.append(f"  fits      not known; set serve.models.{name}.device_memory_gib")
        return "\n".join(lines)
    room = model.device_kv_room_bytes(memory) * model.num_devices
    lines.append(
        f"  fits      {model.num_requests(memory)} requests of {model.tokens:,} tokens at once a replica, in "
        f"{max(0.0, room) / GIB:,.1f} GiB of cache; {memory.device_bytes / GIB:,.1f} GiB a device ({memory.source})"
    )
    return "\n".join(lines)


def _keeps_all_keys(settings: dict[str, Any]) -> bool:
    text = settings.get("text_config", settings)
    slides = bool(text.get("sliding_window")) and text.get("use_sliding_window", True)
    kinds = set(text.get("layer_types") or ["sliding_attention" if slides else "full_attention"])
    return (
        "kv_lora_rank" not in text and kinds == {"full_attention"} and "quantization_config" not in settings
    )


def _shape(field: str, model: str, settings: dict[str, Any]) -> ModelShape | None:
    try:
        return shape_of(transformers_config(field, model, settings))
    except UserError:
        # vLLM knows models that transformers does not.
        return None


def _dtype(served: ServedModelConfig, settings: dict[str, Any]) -> str | None:
    """What vLLM computes in: for `auto` that of the weights, where float32 becomes bfloat16 (vLLM's `ModelConfig`)."""
    if served.dtype != "auto":
        return served.dtype
    text = settings.get("text_config", settings)
    stored = str(text.get("dtype") or text.get("torch_dtype") or "float32").removeprefix("torch.")
    dtype = "bfloat16" if stored == "float32" else stored
    return dtype if dtype in DTYPE_BYTES else None
