"""Where the design changes, and where it ends: sizes at which a measured cost meets a machine's limit; and money."""

import math

from app.corpus.steps import PASSAGE_GROUP_ROWS
from app.quantities import GIB, duration, size
from benchmarks.scale import Sizes
from benchmarks.scale_index import CODE_TRAINING
from benchmarks.scale_passages import NUM_ROWS_READ
from benchmarks.scale_sizes import DATASET_TOKENS, MEMORY_SHARE, Measured, Runs, RunSize, num_hash_columns
from benchmarks.scale_tables import number, seconds, table

ENGINES = (1, 8, 32, 128)
PASSAGES = 1e9
HNSW_FROM = 1e8
MILLION = 1_048_576


def changes_table(measured: Measured, runs: Runs) -> str:
    """What changes at which size, and why."""
    rows = [
        _whole_to_inverted(measured, runs),
        _inverted_to_codes(measured, runs),
        _one_node(measured, runs),
        _list_search(measured, runs),
        _replicas(measured, runs),
        _input_files(measured, runs),
        _object_store(measured, runs),
    ]
    return table("change|>from|why", rows)


def engines_table(runs: Runs) -> str:
    """Engines and the time that they take for the paper's tokens."""
    rows = []
    for engines in ENGINES:
        days = runs.engine_days / engines
        time = duration(days * 86_400) if days < 2 else f"{days:.1f} days"
        rows.append([str(engines), time, number(DATASET_TOKENS / days)])
    return table(">engines|>time|>tokens of examples a day", rows)


def _whole_to_inverted(measured: Measured, runs: Runs) -> list[str]:
    rate, passages = runs.queries_per_sec, runs.paper.num_passages
    times = [seconds(measured.query_sec(kind, passages)) for kind in ("Flat", "IVF,Flat", "IVF,PQ64np")]
    return [
        "`Flat` → `IVF…`",
        f"{number(measured.most('Flat.query', 1 / rate))} passages",
        f"a core is busy with the {rate:.1f} queries a second of {runs.config.pipeline.max_actors} engines; at "
        f"{number(passages)} passages a query takes {times[0]}, with `IVF…,Flat` {times[1]}, with `IVF…,PQ64np` "
        f"{times[2]}",
    ]


def _inverted_to_codes(measured: Measured, runs: Runs) -> list[str]:
    node = runs.config.plan.nodes.generate_gpu.memory_gib
    most = measured.most("IVF,Flat.file", runs.node_bytes("generate_gpu"))
    return [
        "whole vectors → codes (`IVF…,PQ64np`)",
        f"{number(most)} passages",
        f"{measured.per_unit('IVF,Flat.file'):,.0f} bytes a vector fill {MEMORY_SHARE:.0%} of the {node:g} GiB of a "
        f"node that retrieves; codes take {measured.per_unit('IVF,PQ64np.file'):,.0f}, lists included. Trained on "
        f"{number(CODE_TRAINING)} of the random vectors their recall@10 is "
        f"{measured.slope('IVF,PQ64np.recall_at_10').values[-1]:.2f}; more bytes find more",
    ]


def _one_node(measured: Measured, runs: Runs) -> list[str]:
    files = ("IVF,PQ64np.file", "passages.row_files_size")
    bytes_per_passage = sum(measured.per_unit(name) for name in files)
    needed = sum(measured.at(name, PASSAGES) for name in files)
    return [
        "a node → a larger one",
        f"{number(runs.node_bytes('generate_gpu') / bytes_per_passage)} passages",
        f"codes and row files fill the same memory. There are **no shards**: each retriever opens the whole index. "
        f"Replicas of a node share its pages; one's own memory is "
        f"{size(max(measured.slope('IVF,Flat.own_memory').values))} beside the embedder with "
        f"{number(measured.slope('IVF,Flat.own_memory').sizes[-1])} vectors. 1B passages: {size(needed)}, "
        f"a node of {needed / MEMORY_SHARE / GIB:,.0f} GiB",
    ]


def _list_search(measured: Measured, runs: Runs) -> list[str]:
    fill, cores = measured.slope("IVF,Flat.fill"), runs.config.plan.nodes.cpu.num_cpus
    times = [seconds(fill.at(vectors) / cores) for vectors in (HNSW_FROM, PASSAGES)]
    return [
        "lists found by comparing with all → `_HNSW32`, or GPUs",
        f"{number(HNSW_FROM)} passages",
        f"filling grows with n √n (n^{fill.exponent:.2f} measured), as there are 4 √n lists: on all {cores} cores of a "
        f"node {times[0]} at {number(HNSW_FROM)}, {times[1]} at 1B. `IVF131072_HNSW32,PQ64np`; with "
        f"`faiss-gpu` GPUs find them",
    ]


def _replicas(measured: Measured, runs: Runs) -> list[str]:
    rate = runs.queries_per_sec
    paper, billion = (_query_sec(measured, runs, run) for run in (runs.paper, runs.billion))
    return [
        "one retriever → replicas (`retrieval.num_retrievers`, `cpus_per_retriever`)",
        f"{1 / paper:.1f} queries a second",
        f"search and {NUM_ROWS_READ} passages out of as many row groups take {seconds(paper)} of a core at "
        f"{number(runs.paper.num_passages)} passages, {seconds(billion)} at {number(runs.billion.num_passages)}, the "
        f"query's embedding apart. {rate:.1f} a second: {math.ceil(rate * paper)} and {math.ceil(rate * billion)} "
        f"cores; ten times as many: {math.ceil(10 * rate * paper)} and {math.ceil(10 * rate * billion)}",
    ]


def _input_files(measured: Measured, runs: Runs) -> list[str]:
    most = measured.most("files.plan_files_memory", runs.node_bytes("head"))
    return [
        "a text file a document → Parquet or JSONL",
        f"{number(most)} files",
        f"the driver holds {measured.per_unit('files.plan_files_memory'):,.0f} bytes of each: {MEMORY_SHARE:.0%} of "
        f"the head's {runs.config.plan.nodes.head.memory_gib:g} GiB",
    ]


def _object_store(measured: Measured, runs: Runs) -> list[str]:
    call_bytes = measured.per_unit("journal.journal_size") / measured.per_unit("journal.journal_files")
    return [
        "local disk → object store or shared disk",
        "2 machines",
        f"what jobs hand on lies in the run's folder, which every node must see. {number(runs.num_calls)} of its files "
        f"are calls of the journal, of {call_bytes:,.0f} bytes",
    ]


def cost_table(runs: Runs) -> str:
    """What the plan says of time and money."""
    rows = []
    for run in (runs.paper, runs.billion):
        for name in ("corpus", "index", "synthesize"):
            step = run.step(name)
            assert step.machines is not None
            assert step.seconds is not None
            rows.append(
                [
                    run.name,
                    name,
                    step.machines.describe(),
                    duration(step.seconds)
                    if step.seconds < 2 * 86_400
                    else f"{step.seconds / 86_400:.1f} days",
                    f"{step.gpu_hours:,.0f}" if step.gpu_hours else "",
                    size(step.storage_bytes),
                    f"{step.money:,.0f}" if step.money is not None else "",
                ]
            )
    return table("run|step|on|>time|>GPU-hours|>storage|>money", rows)


def limits(measured: Measured, runs: Runs) -> str:
    """What lies in one process, how far that goes, and what else grows more than it should."""
    node = runs.node_bytes("cpu")
    paper, billion = runs.paper, runs.billion
    core_hours = [
        measured.repeats_sec(run.num_documents, runs.documents_per_shard) / 3600 for run in (paper, billion)
    ]
    group = (
        measured.value("passages.part_size", PASSAGE_GROUP_ROWS) * PASSAGE_GROUP_ROWS / Sizes().part_passages
    )
    similar, packing = "finishing.similar_instructions_memory", "packing.packing_memory"
    return f"""\
What lies in one process ends where its memory does, told for {MEMORY_SHARE:.0%} of a node of
{runs.config.plan.nodes.cpu.memory_gib:g} GiB.

- **The index is in one piece**, trained, filled and opened by one process. Beyond a node's memory there are fewer bytes
  a vector, a larger node, or several runs over parts of the documents, whose datasets one training mixes
  (`train.sources`).
- **Repeats are resolved by one task**: up to {number(measured.most("repeats.resolve_memory", node))} documents, of
  which a tenth repeat others ({measured.per_unit("repeats.resolve_memory"):,.0f} bytes for each document). Before it
  each task reads its column of all sketches and keeps its share of it: beyond 4M documents that reading grows with
  their square. {core_hours[0]:,.1f} core hours at {number(paper.num_documents)} documents, {core_hours[1]:,.0f} at
  {number(billion.num_documents)}. `corpus.dedup.near: false` leaves the search for exact repeats, one column of
  {num_hash_columns()}.
- **Row files are written by one task**: up to {number(measured.most("passages.row_files_memory", node))} passages;
  {seconds(measured.at("passages.row_files", billion.num_passages))} at {number(billion.num_passages)}.
- **Similar instructions are found by one task**, which holds {measured.per_unit(similar):,.0f} bytes an example: up to
  {number(measured.most(similar, node))} examples. The paper's {runs.num_examples:,} take
  {size(measured.at(similar, runs.num_examples))}.
- **A stage is planned in the driver**: {measured.per_unit("packing.packing") * 1e9:,.1f} s and
  {size(measured.per_unit(packing) * 1e9)} for a billion tokens of the recipe's mix, most of it for short chats: up to
  {number(measured.most(packing, runs.node_bytes("head")))} tokens on the recipe's head.
- **A file a call**: {number(runs.num_calls)} requests write the paper's journal, ten times as many that of ten
  times the dataset.
- **A passage costs its row group**: {PASSAGE_GROUP_ROWS} passages, {size(group)},
  {seconds(measured.value("passages.one_of_group", PASSAGE_GROUP_ROWS))} are read for each one of a context. With row
  groups of 1,024 it was {seconds(measured.value("passages.one_of_group", 1024))}.
- **A long example takes memory while it is put together**: {size(measured.at("assembly.assembly_memory", MILLION))}
  for {MILLION:,} tokens, {size(measured.at("assembly.assembly_memory", 65_536))} for 65,536, and an agent actor may put
  several together at once.
- FAISS trains `PQ64` for a search that Longstrap does not use, minutes of CPU whatever the size; `PQ64np` leaves that
  out."""


def _query_sec(measured: Measured, runs: Runs, run: RunSize) -> float:
    passages_per_part = runs.documents_per_shard * run.num_passages / run.num_documents
    reading = measured.scattered_sec(run.num_passages, passages_per_part)
    return measured.query_sec("IVF,PQ64np", run.num_passages) + reading
