"""What others have published of long-sequence training and of generation, beside what `longstrap plan` says of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from app.config import PlanConfig, StageConfig, TrainMemoryConfig
from app.models.known import KNOWN_MODELS
from app.models.shape import ModelShape, shape_of, transformers_config
from app.planning.calls import StepCalls
from app.planning.generation import Engine, time_generation
from app.planning.machines import Cluster
from app.planning.training import computed_flops
from app.quantities import GIB
from app.training.memory.remedies import MemoryPlan

LLAMA_8B, LLAMA_1B = "meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.2-1B-Instruct"
QWEN_8B, LLAMA_2_7B = "Qwen/Qwen3-8B", "meta-llama/Llama-2-7b-hf"
MILLION = 2**20
H100_FLOPS, A100_FLOPS = 989e12, 312e12
H100_GIB, H200_GIB = 80.0, 141e9 / GIB
ALST = "ALST, arXiv 2506.13996"
TRL = "TRL 1.13, long_context_training.md"
TRL_DRAFT = "TRL, pull request 6845"
EASY_CONTEXT = "EasyContext, README"
SILYBENCH = "silybench-data, h100-80gbx1_qwen3-8b_bf16, 2026-09-24"


@dataclass(frozen=True)
class Point:
    """One published number and ours."""

    what: str
    source: str
    unit: str
    published: float
    planned: float

    @property
    def error(self) -> float:
        """Of the plan, as a share of what was published."""
        return self.planned / self.published - 1.0


def known_shape(model: str) -> ModelShape:
    """Sizes of a model that a plan knows without a hub."""
    return shape_of(transformers_config("model", model, KNOWN_MODELS[model]))


def memory_plan(
    model: str, tokens: int, num_gpus: int, memory: TrainMemoryConfig, mode: str = "ulysses"
) -> MemoryPlan:
    """One sequence over all GPUs."""
    stage = StageConfig.model_validate(
        {
            "name": "published",
            "max_seq_tokens": tokens,
            "mix": {"text": 1.0},
            "num_steps": 1,
            "batch_tokens": tokens,
            "learning_rate": 1e-5,
            "sequence_parallel_size": num_gpus,
            "sequence_parallel_mode": mode,
        }
    )
    return MemoryPlan(known_shape(model), stage, "train.stages.0", memory, "bfloat16", num_gpus, has_gpu=True)


def longest_sequence(plan: MemoryPlan, limit_bytes: float) -> int:
    """Most tokens of a sequence that fit so much memory, to a thousandth."""

    def fits(tokens: int) -> bool:
        stage = plan.stage.model_copy(update={"max_seq_tokens": tokens, "batch_tokens": tokens})
        return replace(plan, stage=stage).estimate().total_bytes <= limit_bytes

    low, high = 0, 1024
    while fits(high):
        low, high = high, high * 2
    while high - low > max(1, high // 1000):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def step_sec(model: str, tokens: int, num_gpus: int, peak_flops: float, memory: TrainMemoryConfig) -> float:
    """Of one sequence that is one document, over all GPUs."""
    flops = computed_flops(known_shape(model), tokens, float(tokens) ** 2, memory)
    return flops / (num_gpus * peak_flops * PlanConfig().train_share)


def memory_points() -> list[Point]:
    """Longest sequences, and memory of a given one."""
    frugal = TrainMemoryConfig(
        keep_attention=False,
        offload_checkpoints=True,
        offload_optimizer=True,
        mlp_tile_tokens=4096,
        loss_chunk_tokens=2048,
    )
    share = PlanConfig().memory_share

    def longest(num_gpus: int, gib: float, memory: TrainMemoryConfig) -> float:
        plan = memory_plan(LLAMA_8B, MILLION, num_gpus, memory)
        return longest_sequence(plan, gib * GIB * share) / 1e3

    def alst(what: str, published: float, planned: float) -> Point:
        return Point(f"Llama-8B, longest sequence, {what}", ALST, "thousand tokens", published, planned)

    offloaded = frugal.model_copy(update={"mlp_tile_tokens": None})
    tiled_loss = offloaded.model_copy(update={"offload_checkpoints": False})
    trl = TrainMemoryConfig(keep_attention=False, offload_checkpoints=True, loss_chunk_tokens=256)
    return [
        alst("1 H100", 500, longest(1, H100_GIB, frugal)),
        alst("8 H100", 3_700, longest(8, H100_GIB, frugal)),
        alst("32 H100", 15_000, longest(32, H100_GIB, frugal)),
        alst("1 H200, tiled loss", 300, longest(1, H200_GIB, tiled_loss)),
        alst("1 H200, checkpoints offloaded", 650, longest(1, H200_GIB, offloaded)),
        alst("1 H200, tiled MLP", 1_200, longest(1, H200_GIB, frugal)),
        Point(
            "Qwen3-8B, 1M tokens on 8 H100, ring, memory per GPU",
            TRL,
            "GB",
            56.2,
            memory_plan(QWEN_8B, MILLION, 8, trl, "ring").estimate().total_bytes / 1e9,
        ),
    ]


def time_points() -> list[Point]:
    """Time of a step, or tokens a second."""
    plain = TrainMemoryConfig(keep_attention=False, offload_checkpoints=True)

    def trl(num_gpus: int, tokens: int, source: str, published: float) -> Point:
        what = f"Qwen3-8B, {tokens // MILLION}M tokens on {num_gpus} H100"
        return Point(
            what, source, "s per step", published, step_sec(QWEN_8B, tokens, num_gpus, H100_FLOPS, plain)
        )

    def easy(tokens: int, published: float) -> Point:
        planned = tokens / step_sec(LLAMA_2_7B, tokens, 8, A100_FLOPS, plain)
        return Point(
            f"Llama-2-7B, {tokens // 1024}K tokens on 8 A100", EASY_CONTEXT, "tokens/s", published, planned
        )

    return [
        trl(8, MILLION, TRL, 380),
        trl(8, MILLION, TRL_DRAFT, 364),
        trl(16, 2 * MILLION, TRL_DRAFT, 696),
        trl(32, 4 * MILLION, TRL_DRAFT, 1346),
        easy(700 * 1024, 1603),
        easy(512 * 1024, 2133),
        easy(128 * 1024, 4266),
    ]


def generation_points() -> list[Point]:
    """Output tokens a second of a vLLM engine on one H100, with the requests at once that it was given."""
    shape, plan = known_shape(QWEN_8B), PlanConfig()
    device = Cluster(plan).gpus("generate_gpu", 1).device

    def rate(prompt: int, output: int, num_concurrent: int) -> float:
        weights = 2.0 * shape.num_parameters
        engine = Engine(
            shape, device, 1, weights, 4.0 * shape.num_layers * shape.num_kv_heads * shape.head_dim,
            device.memory_bytes - weights, num_concurrent, plan.prefill_share, plan.decode_share,
        )  # fmt: skip
        calls = [StepCalls("answer", 1000, 1000 * prompt, 1000 * output)]
        return 1000 * output / time_generation(engine, calls).total_sec

    cells = [
        (128, 128, 512, 14540),
        (1024, 128, 80, 3018),
        (128, 1024, 396, 13322),
        (2048, 2048, 52, 2815),
        (8192, 512, 7, 502),
    ]
    return [
        Point(
            f"Qwen3-8B on 1 H100, {prompt} tokens in, {output} out, {number} at once",
            SILYBENCH,
            "tokens out/s",
            published,
            rate(prompt, output, number),
        )
        for prompt, output, number, published in cells
    ]


GROUPS: dict[str, Callable[[], list[Point]]] = {
    "Memory of training": memory_points,
    "Time of training": time_points,
    "Time of generation": generation_points,
}
