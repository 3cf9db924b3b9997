"""Writes docs/scale.md out of benchmarks/results/scale.json and the plan of the 1M recipe.

python -m benchmarks.scale_page

Calculates only; takes seconds. `python -m benchmarks.scale` measures.
"""

import json
import re
import textwrap
from pathlib import Path

from app.quantities import size
from benchmarks.record import ROOT
from benchmarks.scale import RESULT
from benchmarks.scale_changes import changes_table, cost_table, engines_table, limits
from benchmarks.scale_index import DIM, NUM_RESULTS, WANTED_RECALL, num_lists
from benchmarks.scale_sizes import DATASET_TOKENS, RECIPE, Measured, Runs
from benchmarks.scale_tables import corpus_table, dataset_table, files_table, number, seconds

PAGE = ROOT / "docs" / "scale.md"
WIDTH = 118


def main() -> None:
    PAGE.write_text(render_page(), "utf-8")
    print(f"written: {PAGE}")


def render_page(result: Path = RESULT) -> str:
    """The whole page."""
    measured, runs = Measured(result), Runs.of_recipe()
    paper, billion = runs.paper, runs.billion
    machine, figures = measured.result["machine"], measured.result["figures"]
    mean_tokens = runs.dataset_tokens / runs.num_examples
    return wrap(f"""\
<!-- Written by `python -m benchmarks.scale_page` out of benchmarks/results/scale.json; a test compares it. -->

# From a laptop to ten million documents and a billion passages

What Longstrap itself does was measured on one core ({machine["cpu"]}, {measured.result["date"]}):
`python -m benchmarks.scale` runs the project's own functions at several sizes and fits how they grow. *n^* is the
exponent of that fit: 0 is constant, 1 linear. Seconds are CPU seconds of one process, on a local disk. The two last
columns are **calculated**, not measured: by the line through the two largest sizes; by n √n where vectors are
compared with √n lists. What GPUs do is planned by formulas: [plan.md](plan.md).

The sizes are those of `{RECIPE}.yaml`, the paper's recipe: documents of 1,034 tokens with
{paper.num_passages / paper.num_documents:.1f} passages each, {runs.num_examples:,} examples, {number(runs.num_calls)}
calls of the generator.

## What grows how

### Corpus and index

Vectors of {DIM} dimensions. A query asks for {NUM_RESULTS} passages, as a context of 65,536 tokens does first. Inverted
files have about 4 √n lists; a query visits as many as recall@10 ≥ {WANTED_RECALL} takes with whole vectors:
{_lists_visited(measured)}, so about n^{measured.slope("IVF,Flat.nprobe").exponent:.2f}. Larger ones are told by the
vectors in the visited lists.

{corpus_table(measured, runs)}

Near-duplicate removal lies in tasks, not in an actor: a document leaves a sketch of
{measured.per_unit("corpus.sketches"):,.0f} bytes on storage, each task searches one hash column of at most 4M
documents, and one last task joins what they have found. The driver knows files, shards and counts: that of a whole
job took {_driver_memory()} with a corpus of {_driver_documents()} documents
([synthesis.json](../benchmarks/results/synthesis.json)).

### Dataset and training

{dataset_table(measured, runs)}

A mean example of {mean_tokens:,.0f} tokens is put together in {seconds(measured.at("assembly.assembly", mean_tokens))},
beside {seconds(runs.engine_sec)} of an engine's time.

### Files of a run

{files_table(runs)}

An object store lists 1,000 names a request. Nothing but the journal has files of a row: it is what makes a killed job
pay for no call twice, is read one row at a time, and goes when the dataset is complete.

## Where the design changes

{changes_table(measured, runs)}

Engines for the paper's {number(DATASET_TOKENS)} tokens of long data, planned (`{runs.config.generator.model}`, one a
GPU of the recipe's `generate_gpu` nodes):

{engines_table(runs)}

## What it costs

By the plan, at the recipe's example prices (USD). Index of 1B passages:
`{billion.config.retrieval.index_factory}`. Training does not depend on the corpus: {_training(runs)}.

{cost_table(runs)}

A core of the measured machine does {number(figures["corpus_tokens_per_cpu_sec"])} tokens a second of the corpus's work
on words drawn at random; the plan counts with {number(runs.config.plan.corpus_tokens_per_cpu_sec)}.

## What does not scale yet

{limits(measured, runs)}

## What was not measured

- Generation, embedding and training on GPUs: planned. Waits for object stores: each read costs a round trip there,
  beside what is told here.
- Anything at ten million documents or a billion passages. The columns of 1B passages go up to
  {number(billion.num_documents / measured.slope("corpus.read").sizes[-1])} times beyond what was measured.
- Recall at that size: random vectors stand for texts here. A job measures its own index (`recall_at_10` in
  `index/_complete.json`) and refuses one below `retrieval.min_recall`.
- Ray's own work with many tasks: a job has as many as its corpus has parts,
  {number(billion.num_documents / runs.documents_per_shard)} at a billion passages.
""")


def wrap(page: str) -> str:
    """Paragraphs and points of a Markdown page in lines of equal length; numbers have other widths than their names."""
    blocks = []
    for block in page.strip().split("\n\n"):
        if block.startswith(("|", "#", "<")):
            blocks.append(block)
            continue
        points = re.split(r"\n(?=- )", block)
        blocks.append("\n".join(_fill(point, "  " if point.startswith("- ") else "") for point in points))
    return "\n\n".join(blocks) + "\n"


def _fill(text: str, indent: str) -> str:
    # What is code stays on one line.
    words = re.sub(r"`[^`]+`", lambda code: code[0].replace(" ", "\0"), " ".join(text.split()))
    filled = textwrap.fill(
        words, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return filled.replace("\0", " ")


def _lists_visited(measured: Measured) -> str:
    visited = measured.slope("IVF,Flat.nprobe")
    return ", ".join(
        f"{lists:.0f} of {num_lists(vectors):,} at {number(vectors)} vectors"
        for vectors, lists in zip(visited.sizes, visited.values, strict=True)
    )


def _driver() -> dict[str, list[float]]:
    result = json.loads((ROOT / "benchmarks" / "results" / "synthesis.json").read_text("utf-8"))
    found: dict[str, list[float]] = result["measured"]["driver_memory"]
    return found


def _driver_memory() -> str:
    return " / ".join(size(value) for value in _driver()["peak_bytes"])


def _driver_documents() -> str:
    return " / ".join(f"{value:,}" for value in _driver()["num_documents"])


def _training(runs: Runs) -> str:
    steps = [step for step in runs.paper.plan.steps if step.name.startswith("train ")]
    hours, money = sum(step.gpu_hours for step in steps), sum(step.money or 0.0 for step in steps)
    return f"{hours:,.0f} GPU-hours, {money:,.0f} ([plan.md](plan.md))"


if __name__ == "__main__":
    main()
