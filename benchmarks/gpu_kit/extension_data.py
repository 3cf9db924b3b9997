"""Makes the data of the kit's extension, on any machine beforehand: it is carried to the one with the GPU.

python -m benchmarks.gpu_kit.extension_data OUT

Three of four sequences are `recall` examples as `dataset.num_structure_seeds` makes them, with the loss on the answers;
the fourth is plain text with the loss on all of it. They are made of the part of the bundled sample that the needles'
haystacks do not reach.
"""

import argparse
import asyncio
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from app.config import SourceConfig
from app.corpus.chunking import split_document
from app.corpus.reader import read_file
from app.corpus.sources import list_files
from app.dataset.structure.making import StructureMaker
from app.schema import ContextDocument, Document, Passage, Reject, Seed
from app.storage import Folder
from app.tokens import Tokenizer
from app.training.data.sequence_store import (
    StoredDocument,
    StoredSequence,
    lay_out_sequence,
    shard_name,
    write_sequence_shard,
)
from app.training.data.tokenization import TARGET_BITS, tokenize_chat
from benchmarks.gpu_kit.extension import MODEL, STAGES, SmollmStage
from benchmarks.record import say

SAMPLE = "bundled:public_domain_sample"
MAX_DOCUMENT_BYTES = 1 << 30
FIRST_CHAR = 1_000_000
"""Of the sample: the haystacks begin within its first 65,536 tokens and are no longer than 131,072."""
PASSAGE_TOKENS = 512
PLAIN_EVERY = 4
LEAST_SHARE = 0.93
"""Of a stage's length, that an example has at least."""


def read_passages(tokenizer: Tokenizer) -> list[list[Passage]]:
    """The passages of each document behind `FIRST_CHAR` characters of the sample."""
    files = list_files([SourceConfig(path=SAMPLE)])
    rows = [row for file in files for row in read_file(file, MAX_DOCUMENT_BYTES)]
    found, num_chars = [], 0
    for document in (row for row in rows if isinstance(row, Document)):
        if num_chars >= FIRST_CHAR:
            found.append(split_document(document, tokenizer, PASSAGE_TOKENS))
        num_chars += len(document.text)
    return found


class NextDocuments:
    """Retrieves the documents that follow each other from a drawn one on: what is asked decides nothing here."""

    def __init__(self, documents: Sequence[list[Passage]], rng: random.Random) -> None:
        self._documents, self._rng = documents, rng

    async def __call__(self, query: str, num_tokens: int, document_tokens: int) -> list[ContextDocument]:
        """See `app.agent.workflow.Retrieve`."""
        first, total = self._rng.randrange(len(self._documents)), 0
        found: list[ContextDocument] = []
        for step in range(len(self._documents)):
            passages = self._documents[(first + step) % len(self._documents)]
            start = self._rng.randrange(len(passages))
            kept: list[Passage] = []
            for passage in passages[start:]:
                if sum(each.num_tokens for each in kept) + passage.num_tokens > document_tokens:
                    break
                kept.append(passage)
            if kept:
                found.append(ContextDocument(kept[0].document_id, "", kept, 1.0))
                total += found[-1].num_tokens
            if total >= num_tokens:
                break
        return found


def recall_document(
    maker: StructureMaker,
    tokenizer: Tokenizer,
    documents: Sequence[list[Passage]],
    stage: SmollmStage,
    index: int,
) -> StoredDocument:
    """An example with ten statements strewn in, and ten questions."""
    for attempt in range(20):
        rng = random.Random(f"extension {stage.name} {index} {attempt}")
        passage = rng.choice(rng.choice(documents))
        seed = Seed(
            seed_id=f"{stage.name}-{index:04}",
            seed_index=index,
            kind="structure",
            task="recall",
            document_id=passage.document_id,
            passage_id=passage.passage_id,
            text=passage.text,
            target_tokens=rng.randint(int(LEAST_SHARE * stage.num_tokens), stage.num_tokens),
            random_seed=rng.randrange(2**31),
        )
        made = maker.make(seed, asyncio.run(maker.retrieve(seed, NextDocuments(documents, rng))))
        if not isinstance(made, Reject):
            row = tokenize_chat(tokenizer, made.messages)
            return StoredDocument(
                made.example_id, row.tokens, (row.target_bits & TARGET_BITS["response"]) > 0
            )
        say(f"{seed.seed_id}: {made.reason}; drawn again")
    raise RuntimeError(f"no example of {stage.num_tokens} tokens can be made of {SAMPLE}")


def plain_document(
    tokenizer: Tokenizer, documents: Sequence[list[Passage]], stage: SmollmStage, index: int
) -> StoredDocument:
    """Text that fills the sequence, all of it learned."""
    rng = random.Random(f"extension {stage.name} plain {index}")
    found = asyncio.run(NextDocuments(documents, rng)("", int(1.1 * stage.num_tokens), stage.num_tokens))
    ids = tokenizer.encode("\n\n".join(document.text for document in found))[: stage.num_tokens]
    return StoredDocument(
        f"{stage.name}-plain-{index:04}", np.array(ids, np.int32), np.ones(len(ids), np.bool_)
    )


def sequences_of(stage: SmollmStage, tokenizer: Tokenizer) -> Iterator[StoredSequence]:
    """A stage's sequences, one for each step."""
    documents = read_passages(tokenizer)
    maker = StructureMaker(tokenizer, stage.num_tokens)
    for index in range(stage.num_steps):
        if index % PLAIN_EVERY == PLAIN_EVERY - 1:
            document = plain_document(tokenizer, documents, stage, index)
        else:
            document = recall_document(maker, tokenizer, documents, stage, index)
        say(f"{stage.name} {index + 1}/{stage.num_steps}: {len(document.tokens):,} tokens")
        yield lay_out_sequence([document], stage.num_tokens, separator_id=None)


def write_data(out: Path) -> None:
    """Write all stages' sequences into folders of `out`."""
    tokenizer = Tokenizer(MODEL)
    for stage in STAGES:
        folder = Folder(str(out / stage.name))
        write_sequence_shard(folder, shard_name(0, 1), stage.num_tokens, sequences_of(stage, tokenizer))


def main() -> None:
    """Parse the command line and make the data."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_kit.extension_data", description=__doc__)
    parser.add_argument("out", type=Path)
    write_data(parser.parse_args().out)


if __name__ == "__main__":
    main()
