"""Writes docs/plan.md: what Llama-3.1-8B to a million tokens takes, and how far plans are from what is published.

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
"""GPUs → GB a GPU and seconds a sequence at a million tokens, calculated for the paper's method (Ulysses, offloaded
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

prints, before anything starts, what every step of a recipe takes: LLM calls and tokens, FLOPs, time, GPU-hours,
storage and, where `plan.nodes.*.price_per_hour` is set, money; what a GPU holds for each step and the settings that it
needs for that; and what does not fit, with the smallest change that makes it fit. It needs no Ray and, for usual
models, no file of theirs. Node types have the names of `cluster.yaml`; `--plan.cluster cluster.yaml` takes their
numbers from it, GPUs and prices are settings of `plan.nodes`. For `{RECIPE}.yaml`, at its example prices:

```
{render_plan(make_plan(load_config(RECIPE)))}
```

## Llama-3.1-8B to 1M tokens on 8, 16 and 32 H100

The three stages of `{RECIPE}.yaml` (8.3B tokens), each sequence over all GPUs. *s a step* is with the documents of
the recipe's mix, 4,194,304 tokens a step; *longest* with one document a sequence. *Needs*: the fewest memory settings
at this size, beside checkpointed layers.

{_stages_table()}

One sequence of 1,048,576 tokens as one document, beside what was calculated for the paper's method (Ulysses,
offloaded checkpoints, tiled MLPs, 40 % of the peak). We know of no published measurement of this very case; the
nearest ones are in the next section.

{_million_table()}

## How far plans are from what is published

Settings of the plan are those of the source. Of Longstrap's own trainer only what a CPU shows is measured: tests
compare the operations that torch counts in a step with the planned ones (within 2.5 %), and the peak of its memory
(within 16 %); `pytest -s tests/planning/test_planned_training.py` prints both.

{groups}

What is off by more than 15 %:

- ALST on 32 GPUs: the memory formula repeats Llama's 8 key heads for 32 GPUs in each of its 8 copies of keys and
  values. The plan is on the safe side.
- ALST on one H200: measured with FlashAttention 3 and with 136 of its 141 GB; a plan leaves 10 % (`plan.memory_share`)
  and counts more copies of the attention's inputs. On the safe side again.
- 128K tokens on 8 A100: rings wait for messages at such lengths, which no plan counts. Expect less than planned for
  short sequences over many GPUs.
- 512 short chats at once: an engine's own work between steps, which the roofline does not have.

## What is counted, and how

| | formula | where |
|---|---|---|
| LLM calls | documents to fill a target, chunks of each, rounds over notes | `app/planning/calls.py` |
| prompts, replies | operations over the peak; traffic over the bandwidth | `app/planning/generation.py` |
| embedding | 2 operations a parameter and token, 2 or 4 a pair of tokens | `app/models/known.py` |
| training | 6 a parameter and token, 6 a pair; and what is computed again | `app/planning/training.py` |
| memory of training | state, checkpoints, working set, activations | `app/training/memory/estimate.py` |
| memory of engines | weights, KV cache, one step of a prefill | `app/serving/memory.py` |
| storage | text, vectors, packed tokens, checkpoints, exports | `app/planning/storage_bytes.py` |

Each has its source in its docstring. Not counted: nodes that start, models that load, rejected rows that are made
again, waits for storage, evaluation's short tasks. Shares of peak and bandwidth, lengths of replies and prices are
settings of `plan`; a pilot's `statistics.json` has the real tokens of each step (`plan.reply_tokens`,
`plan.attempts_per_call`).
"""


def _stages_table() -> str:
    lines = [
        "| GPUs | stage | GB a GPU | needs | s a step | longest | steps | time | GPU-hours | money |",
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


def _stages(num_gpus: int) -> tuple[Machines, list[StagePlan]]:
    overrides = ["--train.num_workers", str(num_gpus)]
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
    """One sequence of a million tokens on 8, 16 and 32 GPUs."""
    points = []
    for num_gpus in NUM_GPUS:
        _, stages = _stages(num_gpus)
        memory = load_config(RECIPE).train
        assert memory is not None
        gigabytes, seconds = METHOD[num_gpus]
        planned = step_sec(LLAMA_8B, MILLION, num_gpus, H100_FLOPS, memory.memory)
        what = f"{num_gpus} H100"
        points.append(Point(what, "method", "GB a GPU", gigabytes, stages[-1].memory.total_bytes / 1e9))
        points.append(Point(what, "method", "s a sequence", seconds, planned))
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
