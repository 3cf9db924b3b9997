"""Writes docs/plan.md: what extending Llama-3.1-8B to 1M tokens takes, and how plans compare with published numbers.

python -m benchmarks.plan_page

Calculates only; takes seconds.
"""

from app.config import Config
from app.planning.calls import long_output_lengths
from app.planning.corpus import plan_corpus
from app.planning.lengths import of_ranges
from app.planning.machines import Cluster, Machines
from app.planning.plan import make_plan
from app.planning.tables import render_plan
from app.planning.training import StagePlan, plan_stages, source_lengths
from app.quantities import duration
from app.recipe import load_config
from app.training.flops import flops_of_sequence
from benchmarks.published import GROUPS, H100_FLOPS, LLAMA_8B, MILLION, Point, known_shape, step_sec
from benchmarks.record import ROOT

PAGE = ROOT / "docs" / "plan.md"
RECIPE = "llama3_8b_1m"
NUM_GPUS = (8, 16, 32)
METHOD = {8: (39, 288), 16: (23, 144), 32: (15, 72)}
"""GPUs → GB per GPU and seconds per sequence at a million tokens, calculated for the paper's method (Ulysses, offloaded
checkpoints, tiled MLP, 40 % of the peak)."""


def main() -> None:
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(render_page(), "utf-8")
    print(f"written: {PAGE}")


def render_page() -> str:
    """The whole page."""
    groups = "\n\n".join(f"### {name}\n\n{_points_table(points())}" for name, points in GROUPS.items())
    return f"""\
<!-- Written by `python -m benchmarks.plan_page`; a test compares it with the code. -->

# What a run takes

    longstrap plan --config RECIPE [--json FILE] [--section.field VALUE ...]

Before anything starts, this command prints what every step of a recipe will take: LLM calls and tokens, FLOPs, time,
GPU-hours and storage, and money if `plan.nodes.*.price_per_hour` is set. It shows what a GPU holds in each step and
which memory settings the step needs. It also names what does not fit, with the smallest change that makes it fit. It
needs no Ray and, for common models, none of the model's files. Node types have the same names as in `cluster.yaml`;
`--plan.cluster cluster.yaml` reads the numbers of nodes from there, and `plan.nodes` sets GPUs and prices. For
`{RECIPE}.yaml`, at its example prices:

```
{render_plan(make_plan(load_config(RECIPE)))}
```

## Llama-3.1-8B to 1M tokens on 8, 16 and 32 H100

These are the three stages of `{RECIPE}.yaml` (8.3B tokens), with each sequence spread over all GPUs. *s per step*
assumes the documents of the recipe's mix, 4,194,304 tokens per step; *longest* assumes one document per sequence.
*Needs* lists the fewest memory settings at this size, in addition to checkpointed layers.

{_stages_table()}

The next table has one sequence of 1,048,576 tokens that is a single document. It compares the plan with what was
calculated for the paper's method (Ulysses, offloaded checkpoints, tiled MLPs, attention computed again, 40 % of the
peak). The plan too has `keep_attention: false`. We know of no published measurement of exactly this case; the closest
ones are in the next section.

{_million_table()}

## How far plans are from what is published

Each plan uses the settings of its source. For Longstrap's own trainer, we have only measured what a CPU can show: tests
compare the planned FLOPs of a step with those that torch counts (within 2.5 %), and the planned memory peak with the
measured one (within 16 %). `pytest -s tests/planning/test_planned_training.py` prints both.

{groups}

Reasons for the differences above 15 %:

- ALST on 32 GPUs: the memory formula repeats Llama's 8 key heads for 32 GPUs in each of its 8 copies of keys and
  values. The plan errs on the safe side.
- ALST on one H200: it was measured with FlashAttention 3 and with 136 of the 141 GB. A plan leaves 10 % free
  (`plan.memory_share`) and counts more copies of the attention's inputs. It errs on the safe side again.
- 128K tokens on 8 A100: at such lengths, rings wait for messages, which no plan counts. For short sequences on many
  GPUs, expect less than planned.
- 512 short chats at once: the roofline ignores the engine's own work between steps.

## What is counted, and how

| | formula | where |
|---|---|---|
| LLM calls | documents per target, chunks per document, rounds of summaries | `app/planning/calls.py` |
| prompts, replies | FLOPs over the peak; memory traffic over the bandwidth | `app/planning/generation.py` |
| embedding | 2 FLOPs per parameter and token, 2 or 4 per pair of tokens | `app/models/known.py` |
| training | 6 FLOPs per parameter and token, 6 per pair of tokens; plus recomputation | `app/planning/training.py` |
| memory of training | state, checkpoints, working set, activations | `app/training/memory/estimate.py` |
| memory of engines | weights, KV cache, one step of a prefill | `app/serving/memory.py` |
| storage | text, vectors, packed tokens, checkpoints, exports | `app/planning/storage_bytes.py` |

The docstring of each formula names its source. A plan does not count the start of nodes, the loading of models, the
replacement of rejected rows, waits for storage, or the evaluation's short tasks. Shares of peak and bandwidth, lengths
of replies and prices are settings of `plan`. A pilot's `statistics.json` has the measured tokens of each step, for
`plan.reply_tokens` and `plan.attempts_per_call`.
"""


def _stages_table() -> str:
    lines = [
        "| GPUs | stage | GB per GPU | needs | s per step | longest | steps | time | GPU-hours | money |",
        "|---:|---|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for num_gpus in NUM_GPUS:
        machines, stages = _stages(num_gpus)
        lines += [_stage_row(num_gpus, machines, stage) for stage in stages]
        seconds = sum(stage.seconds for stage in stages)
        totals = (
            duration(seconds),
            f"{machines.device_hours(seconds):,.0f}",
            f"{machines.money(seconds) or 0:,.0f}",
        )
        lines.append(f"| {num_gpus} | **all** | | | | | | {' | '.join(f'**{total}**' for total in totals)} |")
    return "\n".join(lines)


def _stage_row(num_gpus: int, machines: Machines, stage: StagePlan) -> str:
    cells = [
        str(num_gpus),
        stage.stage.name,
        f"{stage.memory.total_bytes / 1e9:.1f}",
        f"`{stage.needs}`" if stage.needs != "nothing" else "nothing",
        f"{stage.step_sec:,.0f}",
        f"{stage.longest_step_sec:,.0f}",
        f"{stage.stage.total_steps:,}",
        duration(stage.seconds),
        f"{machines.device_hours(stage.seconds):,.0f}",
        f"{machines.money(stage.seconds) or 0:,.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _stages(num_gpus: int, *more: str) -> tuple[Machines, list[StagePlan]]:
    overrides = ["--train.num_workers", str(num_gpus), *more]
    for index in range(3):
        overrides += [f"--train.stages.{index}.sequence_parallel_size", str(num_gpus)]
    config = load_config(RECIPE, overrides)
    assert isinstance(config, Config)
    kinds = {
        "long_input": of_ranges(config.dataset.target_lengths),
        "long_output": long_output_lengths(config, plan_corpus(config)),
    }
    cluster = Cluster(config.plan)
    return plan_stages(config, known_shape(LLAMA_8B), cluster, source_lengths(config, kinds))


def million_points() -> list[Point]:
    """One sequence of a million tokens on 8, 16 and 32 GPUs, with attention computed again as in the method."""
    points, again = [], ("--train.memory.keep_attention", "false")
    for num_gpus in NUM_GPUS:
        _, stages = _stages(num_gpus, *again)
        memory = load_config(RECIPE, again).train
        assert memory is not None
        gigabytes, seconds = METHOD[num_gpus]
        planned = step_sec(LLAMA_8B, MILLION, num_gpus, H100_FLOPS, memory.memory)
        what = f"{num_gpus} H100"
        points.append(Point(what, "method", "GB per GPU", gigabytes, stages[-1].memory.total_bytes / 1e9))
        points.append(Point(what, "method", "s per sequence", seconds, planned))
    shape = known_shape(LLAMA_8B)
    points.append(Point("any", "method", "FLOPs", 9.1e17, flops_of_sequence(shape, [0, MILLION])))
    return points


def _million_table() -> str:
    lines = ["| GPUs | | planned | method | error |", "|---|---|---:|---:|---:|"]
    lines += [
        f"| {point.what} | {point.unit} | {_number(point.planned)} | {_number(point.published)} | {point.error:+.1%} |"
        for point in million_points()
    ]
    return "\n".join(lines)


def _points_table(points: list[Point]) -> str:
    lines = ["| | unit | published | planned | error | source |", "|---|---|---:|---:|---:|---|"]
    lines += [
        f"| {point.what} | {point.unit} | {_number(point.published)} | {_number(point.planned)} | {point.error:+.1%} "
        f"| {point.source} |"
        for point in points
    ]
    return "\n".join(lines)


def _number(value: float) -> str:
    if value >= 1e6:
        return f"{value:.2e}".replace("e+", "e")
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


if __name__ == "__main__":
    main()
