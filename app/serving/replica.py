"""A replica of one model: `ray.serve.llm`'s server with its vLLM engine, called with the bytes that a client sent.

Heavy imports wait for the constructor: the driver and the front need neither Ray's LLM library nor vLLM.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from app.config import ServedModelConfig
from app.models.places import resolve_model
from app.serving.answering import CallAnswerer
from app.serving.replies import Message
from app.storage import is_remote

LAST_WORDS_SEC = 0.5
"""For the errors of a dead engine's requests to reach their clients before the replica ends."""


class ModelReplica:
    """An engine and what is asked of it."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, name: str, served: ServedModelConfig, source: str, max_model_tokens: int | None
    ) -> None:
        """Load the model.

        Args:
            name: In requests.
            served: Settings of the model.
            source: Model or folder, as `app.models.places.resolve_model` takes it.
            max_model_tokens: Longest prompt and answer together; None: as vLLM reads the checkpoint.
        """
        path = await asyncio.to_thread(_bring_files, source)
        _set_engine_environment(served, path)

        from ray.serve.llm import LLMConfig
        from ray.serve.llm.deployment import LLMServer
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
        from vllm.entrypoints.openai.completion.protocol import CompletionRequest

        self._server = LLMServer.sync_init(LLMConfig(**llm_settings(name, served, path, max_model_tokens)))
        await self._server.start()
        engine = self._server.engine._engine_client
        vocab_tokens = engine.model_config.get_vocab_size()
        vocabulary = engine.get_tokenizer().get_vocab()
        self._answerer = CallAnswerer(
            self._server.engine,
            {
                "chat": ChatCompletionRequest.model_validate_json,
                "completions": CompletionRequest.model_validate_json,
            },
            vocab_tokens=vocab_tokens,
            unknown_texts=[text for text, token in vocabulary.items() if token >= vocab_tokens],
            takes_seeds=served.gpus_per_replica > 0,
            on_death=_end_soon,
        )

    async def answer(self, call: str, body: bytes) -> AsyncIterator[Message]:
        """Messages of one answer; see `CallAnswerer`."""
        async for message in self._answerer.answer(call, body):
            yield message

    async def check_health(self) -> None:
        """Serve asks every few seconds, and starts a replica anew that raises."""
        await self._server.check_health()


class FilesAreThere:
    """Tells `ray.serve.llm` to load nothing itself, by a task on every node that imports all of vLLM first."""

    def __init__(
        self,
        llm_config: Any,
        raise_error_on_callback: bool = True,
        ctx_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.ctx = SimpleNamespace(**(ctx_kwargs or {}), custom_data={}, run_init_node=False)

    async def run_callback(self, method_name: str) -> None:
        """Do nothing before or after."""

    def run_callback_sync(self, method_name: str) -> None:
        """Do nothing before or after, synchronously."""


def llm_settings(
    name: str, served: ServedModelConfig, path: str, max_model_tokens: int | None
) -> dict[str, Any]:
    """Arguments of `ray.serve.llm.LLMConfig`."""
    engine = {
        "revision": served.revision,
        "dtype": served.dtype,
        "max_model_len": max_model_tokens,
        "kv_cache_dtype": served.kv_cache_dtype,
        "tensor_parallel_size": served.tensor_parallel_size,
        "pipeline_parallel_size": served.pipeline_parallel_size,
        "max_num_seqs": served.max_concurrent_requests,
        "gpu_memory_utilization": served.memory_share,
        "enable_chunked_prefill": True,
        "enable_prefix_caching": True,
        "enable_prompt_tokens_details": True,
        **({} if served.gpus_per_replica else {"enforce_eager": True}),
        **_beyond_limit(served),
        **served.engine_args,
        "trust_remote_code": False,
    }
    return {
        "model_loading_config": {"model_id": name, "model_source": path},
        "accelerator_type": None,
        "placement_group_config": {
            "bundles": placement_bundles(served),
            "strategy": placement_strategy(served),
        },
        "callback_config": {"callback_class": f"{__name__}:{FilesAreThere.__name__}"},
        "engine_kwargs": {argument: value for argument, value in engine.items() if value is not None},
    }


def _beyond_limit(served: ServedModelConfig) -> dict[str, Any]:
    """The engine's argument for a model that is served beyond its own limit, which the engine refuses otherwise."""
    if not served.beyond_limit or served.max_model_tokens is None:
        return {}
    return {"hf_overrides": {"max_position_embeddings": served.max_model_tokens}}


def placement_bundles(served: ServedModelConfig) -> list[dict[str, float]]:
    """Resources of one replica: a GPU each for its workers, its CPUs beside the first."""
    if not served.gpus_per_replica:
        return [{"CPU": served.cpus_per_replica, "GPU": 0}]
    num_gpus = int(served.gpus_per_replica)
    others: list[dict[str, float]] = [{"GPU": 1} for _ in range(num_gpus - 1)]
    return [{"CPU": served.cpus_per_replica, "GPU": 1}, *others]


def placement_strategy(served: ServedModelConfig) -> str:
    """Tensor parallel workers exchange every layer: one node. Stages of a pipeline may go to others."""
    return "STRICT_PACK" if served.pipeline_parallel_size == 1 else "PACK"


def _bring_files(source: str) -> str:
    """Put a remote model on the disk of every node of this replica."""
    group = ray.util.get_current_placement_group()
    if is_remote(source) and group is not None:
        fetch = ray.remote(num_cpus=0)(resolve_model)
        places = [
            PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index)
            for index in range(group.bundle_count)
        ]
        ray.get([fetch.options(scheduling_strategy=place).remote(source) for place in places])
    return resolve_model(source)


def _set_engine_environment(served: ServedModelConfig, path: str) -> None:
    """Set what vLLM reads: its processes are this one's children."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    if Path(path).is_dir():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if served.gpus_per_replica:
        return
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    # Not only where unset: Ray sets the threads of every worker to its logical CPUs.
    os.environ.update(
        OMP_NUM_THREADS=str(served.cpu_threads), VLLM_CPU_KVCACHE_SPACE=str(served.cpu_kv_cache_gib)
    )


def _end_soon() -> None:
    """End this process: until Serve finds the engine dead by itself, it would be sent request after request."""
    asyncio.get_running_loop().call_later(LAST_WORDS_SEC, os._exit, 1)
