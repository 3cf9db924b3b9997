"""How the dataset grows: the journal of calls, examples of their exact length, and what looks across all examples."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from app.agent.journal import CallJournal
from app.agent.llm import LlmCall, LlmReply
from app.config import Config
from app.dataset.assembly import assemble
from app.dataset.filters import find_similar_instructions
from app.dataset.finishing import write_examples
from app.dataset.result_rows import ResultRows
from app.dataset.results import RESULT_SCHEMA, RowCalls, result_row
from app.dataset.statistics import compute_statistics
from app.recipe import load_config
from app.schema import ContextDocument, Draft, Evidence, Example, Message, Passage, Seed, passage_id_of
from app.storage import Folder
from app.tokens import Tokenizer
from benchmarks.allocations import reset_resident_peak, resident_peak_bytes
from benchmarks.scale_corpus import TOKENIZER, folder_bytes
from benchmarks.scale_slopes import Slopes, SlopeSet, Words, cpu_sec, least_cpu_sec

PASSAGE_WORDS = 250
PASSAGES_PER_DOCUMENT = 8
SPARE = 1.1
"""Tokens of the documents, as a share of the target's."""
INSTRUCTION_WORDS = 40
MESSAGE_CHARS = 4_000
ROWS_PER_FILE = 16
CALLS_PER_ROW = 31
"""As many as the plan of the paper's dataset has for a long input and its share of long outputs."""
REPLY_CHARS = 1_000
"""About 230 tokens, a summary's."""


def measure_assembly(targets: Sequence[int], words: Words) -> Slopes:
    """Examples of exactly so many tokens."""
    found, tokenizer = SlopeSet("tokens"), Tokenizer(TOKENIZER)
    for target in targets:
        draft = make_draft(target, tokenizer, words)
        before = reset_resident_peak()
        repeats = 3 if target < 100_000 else 1
        found.add("assembly", "sec", target, least_cpu_sec(repeats, _assemble, draft, tokenizer))
        found.add("assembly_memory", "bytes", target, resident_peak_bytes() - before)
    return found.slopes()


def measure_filters(sizes: Sequence[int], words: Words) -> Slopes:
    """The search for similar instructions, in the one process that finishes a dataset."""
    found = SlopeSet("examples")
    for size in sizes:
        instructions = [(str(number), make_text(words, INSTRUCTION_WORDS, number)) for number in range(size)]
        before = reset_resident_peak()
        found.add("similar_instructions", "sec", size, cpu_sec(find_similar_instructions, instructions, 0.8))
        found.add("similar_instructions_memory", "bytes", size, resident_peak_bytes() - before)
    return found.slopes()


def measure_finishing(folder: Path, sizes: Sequence[int], words: Words) -> Slopes:
    """All that finishes a dataset, its card left out: short examples, so that what grows with their number shows."""
    found, config = SlopeSet("examples"), load_config("laptop")
    assert isinstance(config, Config)
    for size in sizes:
        results, dataset = Folder(str(folder / f"results-{size}")), Folder(str(folder / f"dataset-{size}"))
        write_results(results, size, words)
        before = reset_resident_peak()
        found.add("finishing", "sec", size, cpu_sec(_finish, config, dataset, results))
        found.add("finishing_memory", "bytes", size, resident_peak_bytes() - before)
    return found.slopes()


def measure_journal(folder: Path, sizes: Sequence[int]) -> Slopes:
    """The journal of so many rows' calls: written, one row's read, all deleted."""
    found = SlopeSet("rows")
    for size in sizes:
        calls = Folder(str(folder / f"calls-{size}"))
        found.add("journal", "sec", size, cpu_sec(_write_journals, calls, size))
        found.add("journal_size", "bytes", size, folder_bytes(calls))
        found.add("journal_files", "files", size, sum(path.is_file() for path in Path(calls.path).rglob("*")))
        row = CallJournal(calls, f"seed-{size // 2:08d}")
        found.add("journal_of_a_row", "sec", size, least_cpu_sec(5, _load, row))
        found.add("delete_journal", "sec", size, cpu_sec(calls.delete))
    return found.slopes()


def make_text(words: Words, num_words: int, number: int) -> str:
    """Words drawn anew for each number."""
    return " ".join(np.random.default_rng(number).choice(words, num_words).tolist())


def make_draft(target_tokens: int, tokenizer: Tokenizer, words: Words) -> Draft:
    """Documents of a few passages, together a little longer than the target; the first passage is the evidence."""
    documents: list[ContextDocument] = []
    num_tokens = 0
    while num_tokens < SPARE * target_tokens:
        name, passages, start = f"{len(documents):016x}", [], 0
        for index in range(PASSAGES_PER_DOCUMENT):
            text = make_text(words, PASSAGE_WORDS, len(documents) * PASSAGES_PER_DOCUMENT + index) + ".\n"
            span = (start, start + len(text), tokenizer.count(text))
            passages.append(Passage(passage_id_of(name, index), name, *span, text))
            start += len(text)
        documents.append(ContextDocument(name, f"Document {len(documents)}", passages, 1.0))
        num_tokens += documents[-1].num_tokens
    first = documents[0].passages[0]
    seed = Seed(
        "seed", 0, "long_input", "trace", first.document_id, first.passage_id, first.text, target_tokens, 1
    )
    instruction, answer = make_text(words, INSTRUCTION_WORDS, 1), make_text(words, 200, 2)
    return Draft(seed, instruction, answer, documents, [first.passage_id])


def write_results(folder: Folder, num_rows: int, words: Words) -> None:
    """Results of so many seeds as the pipeline writes them, a batch a file."""
    content = make_text(words, MESSAGE_CHARS // 8, 0)
    for first in range(0, num_rows, ROWS_PER_FILE):
        rows = []
        for number in range(first, min(first + ROWS_PER_FILE, num_rows)):
            name = f"seed-{number:08d}"
            seed = Seed(name, number, "long_input", "trace", "d", "d:00000", "", 1000, 1)
            instruction = make_text(words, INSTRUCTION_WORDS, number)
            messages: list[Message] = [
                {"role": "user", "content": content + instruction},
                {"role": "assistant", "content": "An answer."},
            ]
            evidence = [Evidence("d:00000", 0.5, 0, 8)]
            example = Example(
                name, "long_input", "trace", messages, 1000, ["d"], evidence, "model", "1", instruction
            )
            rows.append(result_row(seed, example, _calls()))
        folder.write_table(f"{first:09d}.parquet", pa.Table.from_pylist(rows, schema=RESULT_SCHEMA))


def _calls() -> RowCalls:
    calls = RowCalls()
    for step in ("instruction", "summary", "selection", "answer"):
        calls.add(step, LlmReply("", "stop", 1000, 200))
    return calls


def _assemble(draft: Draft, tokenizer: Tokenizer) -> None:
    made = assemble(draft, tokenizer, "model", "1")
    assert isinstance(made, Example), made


def _finish(config: Config, dataset: Folder, results: Folder) -> None:
    compute_statistics(dataset, *write_examples(config, dataset, ResultRows(results), {}))


def _write_journals(calls: Folder, num_rows: int) -> None:
    asyncio.run(_answer_all(calls, num_rows))


async def _answer_all(calls: Folder, num_rows: int) -> None:
    async def answer(call: LlmCall) -> LlmReply:
        return LlmReply("x" * REPLY_CHARS, "stop", 1000, 200)

    for row in range(num_rows):
        generate = CallJournal(calls, f"seed-{row:08d}").wrap(answer, on_replay=lambda call: None)
        for number in range(CALLS_PER_ROW):
            await generate(LlmCall("summary", ({"role": "user", "content": f"{row} {number}"},), 384, number))


def _load(journal: CallJournal) -> None:
    asyncio.run(journal.load())
