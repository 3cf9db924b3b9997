"""The tables of docs/scale.md: what grows how, the files of a run, and what ends where."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.corpus.repeats import DOCUMENTS_PER_TASK
from app.quantities import duration, short, size
from app.retrieval.embedding import MAX_SHARD_ROWS
from app.retrieval.passages import ROW_FILES
from app.training.data.stage_shards import SHARD_TOKENS
from benchmarks.scale_index import KINDS, NUM_QUERIES
from benchmarks.scale_sizes import Measured, Runs, RunSize, num_hash_columns


@dataclass(frozen=True)
class Row:
    """One measured quantity in a table."""

    label: str
    name: str
    """`group.name` of the slope."""
    runs_in: str
    sizes: tuple[float, ...]
    """At which it is told."""
    scale: float = 1.0
    """Of the value: how often it is paid for."""


def table(header: str, rows: Sequence[Sequence[str]]) -> str:
    """Markdown; the columns of the header that begin with `>` hold numbers."""
    names = header.split("|")
    marks = ["---:" if name.startswith(">") else "---" for name in names]
    lines = [[name.removeprefix(">") for name in names], marks, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def growth_rows(measured: Measured, rows: Sequence[Row]) -> list[list[str]]:
    """Label, sizes, exponent, a unit's cost, and what larger sizes take."""
    return [
        [
            row.label,
            row.runs_in,
            " / ".join(number(each) for each in measured.slope(row.name).sizes),
            f"{measured.slope(row.name).exponent:.2f}",
            *(
                quantity(row.scale * measured.at(row.name, each), measured.slope(row.name).unit)
                for each in row.sizes
            ),
        ]
        for row in rows
    ]


def quantity(value: float, unit: str) -> str:
    """`3.1 GB`, `2h 05m`, `1.4 ms`."""
    if unit == "bytes":
        return size(value)
    return seconds(value) if unit == "sec" else number(value)


def seconds(value: float) -> str:
    """CPU time, or a wait."""
    if value < 0.1:
        return f"{value * 1e3:.2g} ms"
    if value < 60:
        return f"{value:.2g} s"
    return duration(value) if value < 2 * 86_400 else f"{value / 86_400:,.0f} days"


def number(value: float) -> str:
    """`812`, `14.2k`, `3.1M`, `1B`."""
    return short(round(value)).replace(".0", "").replace("G", "B")


def corpus_table(measured: Measured, runs: Runs) -> str:
    """Documents, passages, vectors: told for ten million documents and for a billion passages."""
    documents = (float(runs.paper.num_documents), float(runs.billion.num_documents))
    passages = (float(runs.paper.num_passages), float(runs.billion.num_passages))
    share = (float(DOCUMENTS_PER_TASK), float(DOCUMENTS_PER_TASK))
    rows = [
        Row("read documents, sketch them", "corpus.read", "tasks", documents),
        Row("cut into passages, write", "corpus.cut", "tasks", documents),
        Row("corpus on storage", "corpus.corpus", "", documents),
        Row("sketches, until it is done", "corpus.sketches", "", documents),
        Row("memory of one search for repeats", "repeats.column_memory", "a task", share),
        Row("repeats resolved", "repeats.resolve", "**one task**", documents),
        Row("its memory", "repeats.resolve_memory", "**one task**", documents),
        Row("input files planned, if each holds one document", "files.plan_files", "**driver**", documents),
        Row("its memory", "files.plan_files_memory", "**driver**", documents),
        Row("lists of `IVF…` trained, 39 vectors each", "IVF,Flat.train", "**one task**", passages),
        Row("`IVF…,Flat` filled: each vector's list found", "IVF,Flat.fill", "**one task**", passages),
        Row("index `Flat`", "Flat.file", "a node, shared", passages),
        Row("index `IVF…,Flat`", "IVF,Flat.file", "a node, shared", passages),
        Row("index `IVF…,PQ64np`", "IVF,PQ64np.file", "a node, shared", passages),
        Row(
            "true neighbours of 200 passages",
            "exact.recall_sample",
            "**one task**",
            passages,
            200 / NUM_QUERIES,
        ),
        Row("row files written", "passages.row_files", "**one task**", passages),
        Row("its memory", "passages.row_files_memory", "**one task**", passages),
        Row("row files", "passages.row_files_size", "a node, shared", passages),
        Row("passages scanned for seeds", "passages.scan_for_seeds", "tasks", passages),
    ]
    found = growth_rows(measured, rows)
    repeats = [
        f"search for repeats, all {num_hash_columns()} hash columns",
        "tasks",
        " / ".join(number(each) for each in measured.slope("repeats.one_column").sizes),
        f"{measured.slope('repeats.one_column').exponent:.2f}",
        *(seconds(measured.repeats_sec(each, runs.documents_per_shard)) for each in documents),
    ]
    queries = [_query_row(measured, kind, passages) for kind in KINDS]
    names = (_run_name(runs.paper), _run_name(runs.billion))
    return table(
        f"step or artefact|runs in|measured at|>n^|>{names[0]}|>{names[1]}",
        [*found[:4], repeats, *found[4:], *queries],
    )


def _query_row(measured: Measured, kind: str, passages: tuple[float, ...]) -> list[str]:
    slope = measured.slope(f"{kind}.query")
    return [
        f"a query, `{kind.replace(',', '…,')}`",
        "a retriever",
        " / ".join(number(each) for each in slope.sizes),
        f"{slope.exponent:.2f}",
        *(seconds(measured.query_sec(kind, each)) for each in passages),
    ]


def dataset_table(measured: Measured, runs: Runs) -> str:
    """Seeds, examples, calls, packed tokens: told for the paper's dataset and for a million examples."""
    examples = (float(runs.num_examples), 1e6)
    one = (runs.dataset_tokens / runs.num_examples, 1_048_576.0)
    tokens = (float(sum(runs.stage_tokens)), 1e11)
    calls_per_row = runs.num_calls / runs.num_examples
    of_calls = calls_per_row / _calls_measured(measured)
    rows = [
        Row("seeds drawn", "seeds.draw_seeds", "**driver**", examples),
        Row("its memory", "seeds.seeds_memory", "**driver**", examples),
        Row("journal of calls written", "journal.journal", "agent actors", examples, of_calls),
        Row("journal, files", "journal.journal_files", "", examples, of_calls),
        Row("journal, bytes", "journal.journal_size", "", examples, of_calls),
        Row("a row's journal read", "journal.journal_of_a_row", "agent actors", examples, of_calls),
        Row("journal deleted", "journal.delete_journal", "**driver**", examples, of_calls),
        Row("similar instructions", "finishing.similar_instructions", "**one task**", examples),
        Row("its memory", "finishing.similar_instructions_memory", "**one task**", examples),
        Row("dataset finished, texts left out", "finishing.finishing", "**one task**", examples),
    ]
    length = [
        Row("one example put together", "assembly.assembly", "agent actors", one),
        Row("its memory", "assembly.assembly_memory", "agent actors", one),
    ]
    packing = [
        Row("sequences of a stage planned", "packing.packing", "**driver**", tokens),
        Row("its memory", "packing.packing_memory", "**driver**", tokens),
    ]
    head = "step or artefact|runs in|measured at|>n^|>"
    return "\n\n".join(
        [
            table(f"{head}{runs.num_examples:,} examples|>1M examples", growth_rows(measured, rows)),
            table(f"{head}{number(one[0])} tokens (the mean)|>1M tokens", growth_rows(measured, length)),
            table(f"{head}{number(tokens[0])} tokens|>100B tokens", growth_rows(measured, packing)),
        ]
    )


def files_table(runs: Runs) -> str:
    """How many files there are; every listing names them all."""
    shard = runs.documents_per_shard
    rows_per_shard = runs.config.dataset.rows_per_shard
    batch = runs.config.pipeline.rows_per_batch
    both, stage_tokens = (runs.paper, runs.billion), runs.stage_tokens
    found: list[list[str]] = [
        [
            "`corpus/documents`, `passages`, `rejects`",
            f"{shard:,} documents, each",
            *(number(run.num_documents / shard) for run in both),
        ],
        [
            "`corpus/_scan`, until it is done",
            f"{shard:,} documents: text, sketch, record; searches",
            *(
                number(
                    3 * run.num_documents / shard
                    + num_hash_columns() * -(-run.num_documents // DOCUMENTS_PER_TASK)
                )
                for run in both
            ),
        ],
        [
            "`index/_vectors`, until it is done",
            f"{MAX_SHARD_ROWS:,} passages",
            *(number(run.num_passages / MAX_SHARD_ROWS) for run in both),
        ],
        ["`index`", "itself, rows, records", *[str(len(ROW_FILES) + 4)] * 2],
        [
            "`dataset/seeds`",
            "a part of the corpus that has one",
            *(number(run.num_documents / shard) for run in both),
        ],
        [
            "`dataset/_results`, `_checkpoint`, until it is done",
            f"{batch} seeds (`pipeline.rows_per_batch`), each",
            *[number(runs.num_examples / batch)] * 2,
        ],
        ["`dataset/_calls`, until it is done", "**a call of the generator**", *[number(runs.num_calls)] * 2],
        [
            "`dataset/examples`",
            f"{rows_per_shard:,} examples",
            *[number(runs.num_examples / rows_per_shard)] * 2,
        ],
        [
            "`train/STAGE/data`",
            f"{number(SHARD_TOKENS)} tokens: 3",
            *[number(3 * stage_tokens[0] / SHARD_TOKENS)] * 2,
        ],
    ]
    return table(f"folder|a file for|>{_run_name(both[0])}|>{_run_name(both[1])}", found)


def _run_name(run: RunSize) -> str:
    return f"{number(run.num_documents)} documents, {number(run.num_passages)} passages"


def _calls_measured(measured: Measured) -> float:
    return measured.per_unit("journal.journal_files")
