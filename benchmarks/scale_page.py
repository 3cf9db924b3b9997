"""Writes docs/scale.md out of benchmarks/results/scale.json and the plan of the 1M recipe.

python -m benchmarks.scale_page

Calculates only; takes seconds. `python -m benchmarks.scale` measures.
"""

from app.config import CorpusConfig
from app.corpus.steps import PASSAGE_GROUP_ROWS
from app.planning.storage_bytes import index_bytes
from app.planning.tables import size
from app.progress_view import duration
from app.training.memory_estimate import GIB
from benchmarks.record import ROOT
from benchmarks.scale_index import DIM, NUM_RESULTS, WANTED_RECALL, num_lists
from benchmarks.scale_passages import NUM_ROWS_READ
from benchmarks.scale_sizes import DATASET_TOKENS, MEMORY_SHARE, RECIPE, Measured, RunSize, Sizes
from benchmarks.scale_tables import (
    corpus_table,
    cost_table,
    dataset_table,
    files_table,
    number,
    seconds,
    table,
)

PAGE = ROOT / "docs" / "scale.md"
ENGINES = (1, 8, 32, 128)


def main() -> None:
    PAGE.write_text(render_page(), "utf-8")
    print(f"written: {PAGE}")


def render_page() -> str:
    """The whole page."""
    measured, sizes = Measured(), Sizes.of_recipe()
    machine = measured.result["machine"]
    return f"""\
<!-- Written by `python -m benchmarks.scale_page` out of benchmarks/results/scale.json; a test compares it. -->

# From a laptop to ten million documents and a billion passages

What Longstrap itself does was measured on one core ({machine["cpu"]}, {measured.result["date"]}): `python -m benchmarks.scale`
runs the project's own functions at several sizes and fits how they grow. *n^* is the exponent of the fit: 0 is constant,
1 linear. Seconds are CPU seconds of one process, on a local disk; the two last columns are **calculated** from the fit (a
line; a power law where it grows faster), not measured. What GPUs do is planned by formulas: [plan.md](plan.md).

The sizes are those of `{RECIPE}.yaml`, the paper's recipe: documents of 1,034 tokens, {sizes.paper.num_passages / sizes.paper.num_documents:.1f} passages each,
{sizes.num_examples:,} examples, {number(sizes.num_calls)} calls of the generator.

## What grows how

### Corpus and index

Vectors of {DIM} dimensions; a query asks for {NUM_RESULTS} passages, a context of 65,536 tokens; inverted files have
4 √n lists and visit as many as recall@10 ≥ {WANTED_RECALL} takes with whole vectors ({_nprobes(measured)}).

{corpus_table(measured, sizes)}

Near-duplicate removal is in tasks, not in an actor: a document leaves a sketch of {number(measured.per_unit("corpus.sketches"))} bytes on storage, each task searches
one hash column of at most 4M documents, and one last task joins what they found. The driver knows files, shards and counts:
a whole job's driver took {_driver_memory()} with a corpus of 1×, 4× and 16× documents
([synthesis.json](../benchmarks/results/synthesis.json)).

### Dataset and training

{dataset_table(measured, sizes)}

Putting an example together is linear in its length; a mean one takes a core {seconds(measured.at("assembly.assembly", sizes.dataset_tokens / sizes.num_examples))}, beside the minutes
that an engine writes for it.

### Files of a run

{files_table(sizes)}

An object store lists 1,000 names a request. Nothing but the journal has a file for a row: it is what makes a killed
job pay for no call twice, is read one row at a time, and goes when the dataset is complete.

## Where the design changes

{_changes(measured, sizes)}

Engines for the paper's {number(DATASET_TOKENS)} tokens of long data (planned, `{sizes.config.generator.model}` on one L40S each):

{_engines_table(sizes)}

## What it costs

By the plan, at the recipe's example prices; 1B passages with `IVF131072,PQ128`. Training does not depend on the corpus:
{_training_money(sizes)} ([plan.md](plan.md)).

{cost_table(sizes)}

A core of the measured machine does {number(measured.result["figures"]["corpus_tokens_per_cpu_sec"])} tokens a second of the corpus's work, measured on words drawn at random; the plan
counts with {number(sizes.config.plan.corpus_tokens_per_cpu_sec)}.

## What does not scale yet

{_limits(measured, sizes)}

## What was not measured

- Generation, embedding and training on GPUs: planned. Time on object stores: a read there costs a round trip beside
  what is told here, and tests on S3's protocol measure none.
- Anything at ten million documents or a billion passages: the largest measured sizes are in the tables, and the last columns
  go {_farthest(measured, sizes)} beyond them.
- Recall at a billion passages; random vectors stand for texts here. The job measures its own index ({_recall_field()}).
- Ray's own scheduling: tasks and blocks of a job are as many as its parts ({number(sizes.billion.num_documents / _documents_per_shard())} at a billion passages).
"""


def _nprobes(measured: Measured) -> str:
    slope = measured.slope("IVF,Flat.nprobe")
    return ", ".join(
        f"{value:.0f} of {num_lists(vectors):,} at {number(vectors)}"
        for vectors, value in zip(slope.sizes, slope.values, strict=True)
    )


def _driver_memory() -> str:
    result = json.loads((ROOT / "benchmarks" / "results" / "synthesis.json").read_text("utf-8"))
    return " / ".join(size(value) for value in result["measured"]["driver_memory"]["peak_bytes"])


def _changes(measured: Measured, sizes: Sizes) -> str:
    rate = sizes.queries_per_sec
    node, cpu_node = sizes.node_bytes("generate_gpu"), sizes.node_bytes("cpu")
    nodes = sizes.config.plan.nodes
    by_time = 1 / (rate * measured.per_unit("Flat.query"))
    rows = [
        [
            f"`Flat` → `IVF…,Flat`: {number(by_time)} passages",
            f"from there a core is busy with the {rate:.1f} queries a second that {sizes.config.pipeline.max_actors} engines ask (a query at "
            f"{number(sizes.paper.num_passages)} passages: {seconds(measured.at('Flat.query', sizes.paper.num_passages))} with `Flat`, "
            f"{seconds(measured.at('IVF,Flat.query', sizes.paper.num_passages))} with `IVF…,Flat`)",
        ],
        [
            f"whole vectors → `PQ64np`: {number(measured.most('IVF,Flat.file', node))} passages",
            f"{measured.per_unit('IVF,Flat.file'):,.0f} bytes a vector fill {MEMORY_SHARE:.0%} of a node of {nodes.generate_gpu.memory_gib:g} GiB that retrieves; "
            f"{measured.per_unit('IVF,PQ64np.file'):,.0f} bytes with `PQ64np`. Recall@10 of these codes on the random vectors: "
            f"{measured.slope('IVF,PQ64np.recall_at_10').values[-1]:.2f}",
        ],
        [
            f"one node → a larger one: {number(measured.most('IVF,PQ64np.file', node))} passages",
            f"`PQ64np` fills the same memory; there are **no shards**: each retriever opens the whole index, the replicas of a node share "
            f"its pages (a replica's own memory: {size(measured.slope('IVF,PQ64np.own_memory').values[-1])} beside the embedder). 1B passages: "
            f"{size(measured.at('IVF,PQ64np.file', 1e9) + measured.at('passages.row_files_size', 1e9))} with their row files, a node of "
            f"{1.25 * (measured.at('IVF,PQ64np.file', 1e9) + measured.at('passages.row_files_size', 1e9)) / GIB:,.0f} GiB",
        ],
        [
            "plain → `_HNSW32` lists: about 100M passages",
            f"finding a vector's list compares it with all: the build grows with n^{measured.slope('IVF,PQ64np.build').exponent:.2f}. "
            f"{seconds(measured.at('IVF,PQ64np.build', 1e8) / nodes.cpu.num_cpus)} on the {nodes.cpu.num_cpus} cores of a node at 100M, "
            f"{seconds(measured.at('IVF,PQ64np.build', 1e9) / nodes.cpu.num_cpus)} at 1B; `IVF131072_HNSW32,PQ64np`, or GPUs (`faiss-gpu`) that find them",
        ],
        [
            f"retriever replicas: one for {number(_queries_per_replica(measured, sizes.paper))} queries a second",
            f"searching and reading {NUM_ROWS_READ} passages out of as many row groups take {seconds(_query_sec(measured, sizes.paper))} of a core at "
            f"{number(sizes.paper.num_passages)} passages and {seconds(_query_sec(measured, sizes.billion))} at {number(sizes.billion.num_passages)}, "
            f"embedding the query apart: {_replicas(measured, sizes.paper, rate)} core for {rate:.1f} queries a second, "
            f"{_replicas(measured, sizes.paper, 100 * rate)} for a hundred times as many. "
            f"`retrieval.num_retrievers`, `cpus_per_retriever`",
        ],
        [
            f"text files → Parquet or JSONL: {number(measured.most('files.plan_files_memory', sizes.node_bytes('head')))} files",
            f"the driver keeps {measured.per_unit('files.plan_files_memory'):,.0f} bytes a file: that many fill {MEMORY_SHARE:.0%} of the head's "
            f"{nodes.head.memory_gib:g} GiB",
        ],
        [
            "local disk → object store: more than one machine",
            "everything that jobs hand on lies in the run's folder, which every node must see. Files of a row exist in the journal only: "
            f"{number(sizes.num_calls)} of them, {measured.per_unit('journal.journal_size') / measured.per_unit('journal.journal_files'):,.0f} bytes each",
        ],
    ]
    del cpu_node
    return table("what changes, and where|why", rows)


def _engines_table(sizes: Sizes) -> str:
    rows = []
    for engines in ENGINES:
        days = sizes.engine_days / engines
        rows.append(
            [str(engines), duration(days * 86_400) if days < 2 else f"{days:.1f} days", number(DATASET_TOKENS / days)]
        )
    return table(">engines|>time|>tokens of examples a day", rows)


def _training_money(sizes: Sizes) -> str:
    steps = [step for step in sizes.paper.plan.steps if step.name.startswith("train ")]
    hours, money = sum(step.gpu_hours for step in steps), sum(step.money or 0.0 for step in steps)
    return f"{hours:,.0f} GPU-hours, {money:,.0f}"


def _limits(measured: Measured, sizes: Sizes) -> str:
    billion, head = sizes.billion, sizes.node_bytes("cpu")
    memory = sizes.config.plan.nodes.cpu.memory_gib
    shard = _documents_per_shard()
    repeats = [measured.repeats_sec(each, shard) / 3600 for each in (sizes.paper.num_documents, billion.num_documents)]
    most = {
        name: number(measured.most(name, head))
        for name in (
            "repeats.resolve_memory",
            "passages.row_files_memory",
            "finishing.similar_instructions_memory",
            "packing.packing_memory",
        )
    }
    return f"""\
What lies in one process ends where its memory does; told for {MEMORY_SHARE:.0%} of a node of {memory:g} GiB.

- **The index is in one piece**: trained, filled and opened by one process. Beyond a node's memory there is no way but fewer
  bytes a vector, a larger node, or several runs over parts of the documents, whose datasets are trained on together
  (`train.sources`).
- **Repeats are resolved by one task**: {most["repeats.resolve_memory"]} documents, a tenth of them repeats
  ({measured.per_unit("repeats.resolve_memory"):,.0f} bytes each). Before it, every task reads its column of all sketches and keeps its share: beyond 4M
  documents that reading grows with their square ({repeats[0]:,.1f} core hours at {number(sizes.paper.num_documents)}, {repeats[1]:,.0f} at {number(billion.num_documents)}, of which little is
  comparing). `corpus.dedup.near: false` leaves exact repeats alone, a {_columns()}th of it.
- **Row files are written by one task**: {most["passages.row_files_memory"]} passages, {seconds(measured.at("passages.row_files", billion.num_passages))} of one core at {number(billion.num_passages)}.
- **Similar instructions are found by one task**, which keeps {measured.per_unit("finishing.similar_instructions_memory"):,.0f} bytes an example: {most["finishing.similar_instructions_memory"]} examples.
  The paper's {sizes.num_examples:,} take {size(measured.at("finishing.similar_instructions_memory", sizes.num_examples))}.
- **A stage is planned in the driver**: {measured.per_unit("packing.packing") * 1e9:,.1f} s and {size(measured.per_unit("packing.packing_memory") * 1e9)} a billion tokens with the recipe's mix, most of it for short
  chats; {most["packing.packing_memory"]} tokens.
- **A file a call**: {number(sizes.num_calls)} requests to write the journal, each row's listed once. Ten times the dataset is ten times as many.
- A seed's query reads a row group of {PASSAGE_GROUP_ROWS} passages for each one that it takes: {seconds(measured.value("passages.one_of_group", PASSAGE_GROUP_ROWS))} and {size(_group_bytes(measured))} each.
- FAISS trains `PQ64` for a search that Longstrap does not use, minutes of CPU; `PQ64np` is the same without."""


def _query_sec(measured: Measured, run: RunSize) -> float:
    per_part = _documents_per_shard() * run.num_passages / run.num_documents
    return measured.at("IVF,PQ64np.query", run.num_passages) + measured.scattered_sec(run.num_passages, per_part)


def _queries_per_replica(measured: Measured, run: RunSize) -> float:
    return 1 / _query_sec(measured, run)


def _replicas(measured: Measured, run: RunSize, rate: float) -> int:
    return math.ceil(rate * _query_sec(measured, run))


def _group_bytes(measured: Measured) -> float:
    slope = measured.slope("passages.part_size")
    return measured.value("passages.part_size", PASSAGE_GROUP_ROWS) * PASSAGE_GROUP_ROWS / PART_PASSAGES if slope else 0.0


def _columns() -> int:
    return len(plan_edge_tasks(1, DedupConfig()))


def _documents_per_shard() -> int:
    return int(CorpusConfig.model_fields["documents_per_shard"].default)


def _recall_field() -> str:
    return "`recall_at_10` in `index/index.json`; below `retrieval.min_recall` it is refused"


def _farthest(measured: Measured, sizes: Sizes) -> str:
    documents = sizes.billion.num_documents / measured.slope("corpus.read").sizes[-1]
    return f"up to {number(documents)} times"


if __name__ == "__main__":
    main()
