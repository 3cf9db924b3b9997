"""Whether the keys of structure tasks are right: each is worked out again from the messages alone, and compared.

python -m benchmarks.structure_tasks [--num 1000] [--out benchmarks/results/structure_tasks.json]

The tasks are made of the bundled sample, in equal numbers of each kind, with SmolLM2's tokenizer. Documents near a seed
passage are found by shared words, which needs no model. `benchmarks.structure_reading` then reads the messages; it
shares nothing with what made them.
"""

import argparse
import asyncio
import math
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from app.config import SourceConfig
from app.corpus.chunking import split_document
from app.corpus.reader import read_file
from app.corpus.sources import list_files
from app.dataset.structure.making import StructureMaker
from app.dataset.structure.tasks import structure_tasks
from app.retrieval.retriever import choose_runs
from app.schema import ContextDocument, Document, Example, Passage, Reject, Seed
from app.text.words import split_words
from app.tokens import Tokenizer
from benchmarks.record import ROOT, describe_machine, say, write_result
from benchmarks.structure_reading import is_confirmed

RESULT = ROOT / "benchmarks" / "results" / "structure_tasks.json"
SAMPLE, MODEL = "bundled:public_domain_sample", "bundled:smollm2-135m-instruct"
PASSAGE_TOKENS, DOCUMENT_TOKENS, MAX_DOCUMENT_BYTES = 256, 8192, 10_000_000
DOCUMENT_CHARS = 5_000
"""Of the beginning of each document: dividing all of the sample into passages would take most of the time."""
LEAST_TOKENS, MOST_TOKENS = 1_500, 3_000
"""Lengths of the examples."""
TASKS_PER_REPORT = 50


class WordRetriever:
    """Documents by the words that their passages share with a query, the rarer the better."""

    def __init__(self, documents: Sequence[Document], tokenizer: Tokenizer) -> None:
        self.passages: list[Passage] = []
        self._titles = {document.document_id: document.title for document in documents}
        self._rows: dict[str, range] = {}
        for document in documents:
            first = len(self.passages)
            self.passages += split_document(document, tokenizer, PASSAGE_TOKENS)
            self._rows[document.document_id] = range(first, len(self.passages))
        self._num_tokens = np.array([passage.num_tokens for passage in self.passages], np.int32)
        self._holders: dict[str, list[int]] = {}
        for row, passage in enumerate(self.passages):
            for word in sorted(set(split_words(passage.text))):
                self._holders.setdefault(word, []).append(row)

    async def __call__(self, query: str, num_tokens: int, document_tokens: int) -> list[ContextDocument]:
        """See `app.agent.workflow.Retrieve`."""
        scores: dict[int, float] = defaultdict(float)
        for word in sorted(set(split_words(query))):
            holders = self._holders.get(word, [])
            for row in holders:
                scores[row] += math.log(len(self.passages) / len(holders))
        hits: dict[str, list[int]] = {}
        for row in sorted(scores, key=lambda row: (-scores[row], row)):
            hits.setdefault(self.passages[row].document_id, []).append(row)
        found: list[ContextDocument] = []
        total = 0
        for document_id, rows in hits.items():
            run = self._rows[document_id]
            runs = choose_runs(self._num_tokens, run.start, run.stop, rows, document_tokens)
            passages = [self.passages[row] for chosen in runs for row in chosen]
            found.append(ContextDocument(document_id, self._titles[document_id], passages, scores[rows[0]]))
            total += found[-1].num_tokens
            if total >= num_tokens:
                break
        return found


def read_sample() -> list[Document]:
    """Documents of the bundled sample, of each its beginning."""
    files = list_files([SourceConfig(path=SAMPLE)])
    rows = [row for file in files for row in read_file(file, MAX_DOCUMENT_BYTES)]
    return [replace(row, text=row.text[:DOCUMENT_CHARS]) for row in rows if isinstance(row, Document)]


def draw_seeds(passages: Sequence[Passage], tasks: Sequence[str]) -> Iterator[Seed]:
    """Seeds without end, the tasks in turn."""
    index = 0
    while True:
        rng = random.Random(f"structure tasks {index}")
        passage = rng.choice(passages)
        yield Seed(
            seed_id=f"structure-{index:05d}",
            seed_index=index,
            kind="structure",
            task=tasks[index % len(tasks)],
            document_id=passage.document_id,
            passage_id=passage.passage_id,
            text=passage.text,
            target_tokens=rng.randint(LEAST_TOKENS, MOST_TOKENS),
            random_seed=rng.randrange(2**31),
        )
        index += 1


def make_examples(retriever: WordRetriever, tokenizer: Tokenizer) -> Iterator[Example | Reject]:
    """Examples and rejects without end."""
    maker = StructureMaker(tokenizer, DOCUMENT_TOKENS)
    for seed in draw_seeds(retriever.passages, list(structure_tasks(tokenizer))):
        yield maker.make(seed, asyncio.run(maker.retrieve(seed, retriever)))


def measure(num_tasks: int, out: Path) -> bool:
    """Make tasks, read them, write the result; whether all keys were confirmed."""
    machine, tokenizer = describe_machine(), Tokenizer(MODEL)
    retriever = WordRetriever(read_sample(), tokenizer)
    made: Counter[str] = Counter()
    confirmed: Counter[str] = Counter()
    questions: Counter[str] = Counter()
    rejects: Counter[str] = Counter()

    def examples() -> Iterator[Example]:
        for outcome in make_examples(retriever, tokenizer):
            if isinstance(outcome, Example):
                yield outcome
            else:
                rejects[f"{outcome.detail}: {outcome.reason}"] += 1
                say(f"{outcome.row_id}, {outcome.detail}: {outcome.reason}")

    for example in islice(examples(), num_tasks):
        assert example.task_data is not None
        made[example.task] += 1
        questions[example.task] += len(example.messages) // 2
        if is_confirmed(example.messages, example.task_data):
            confirmed[example.task] += 1
        else:
            say(f"not confirmed: {example.example_id}, {example.task}, {example.task_data.answer_key}")
            say(example.instruction)
        if made.total() % TASKS_PER_REPORT == 0:
            say(f"{confirmed.total()} of {made.total()} confirmed, {rejects.total()} rejects")
    write_result(
        out,
        machine,
        {"tasks": made.total(), "confirmed": confirmed.total()},
        {
            "corpus": SAMPLE,
            "tokenizer": MODEL,
            "passage_tokens": PASSAGE_TOKENS,
            "document_chars": DOCUMENT_CHARS,
            "target_tokens": [LEAST_TOKENS, MOST_TOKENS],
        },
        {
            "tasks": dict(made),
            "questions": dict(questions),
            "confirmed": dict(confirmed),
            "rejects": dict(rejects),
        },
        {"what": "none: the same tasks are made each time"},
    )
    say(f"written: {out}")
    return made == confirmed


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.structure_tasks", description=__doc__)
    parser.add_argument("--num", type=int, default=1000, help="tasks to make")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    if not measure(arguments.num, arguments.out):
        sys.exit("a key was not confirmed")


if __name__ == "__main__":
    main()
