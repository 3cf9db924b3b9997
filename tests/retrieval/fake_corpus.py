"""A corpus and an encoder of known words, for tests of what is found in them."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from app.schema import DOCUMENT_SCHEMA, PASSAGE_SCHEMA, hash_text, passage_id_of
from app.storage import Folder

Part = Sequence[tuple[str, Sequence[str]]]
"""Titles and passages of documents."""


def write_corpus(folder: Folder, parts: Sequence[Part], row_group_rows: int = 2) -> list[str]:
    """Write a corpus as the corpus job does, a passage's words as its tokens, and return all passages' texts."""
    texts = []
    for number, part in enumerate(parts):
        documents, passages = [], []
        for title, stretches in part:
            text = "".join(stretches)
            document_id, start = hash_text(title + text), 0
            documents.append(
                {
                    "document_id": document_id,
                    "text": text,
                    "title": title,
                    "source": "test",
                    "line": 1,
                    "num_tokens": len(text.split()),
                }
            )
            for index, stretch in enumerate(stretches):
                passages.append(
                    {
                        "passage_id": passage_id_of(document_id, index),
                        "document_id": document_id,
                        "start_char": start,
                        "end_char": start + len(stretch),
                        "num_tokens": len(stretch.split()),
                        "text": stretch,
                    }
                )
                start += len(stretch)
            texts += stretches
        name = f"part-{number:05d}.parquet"
        (folder / "documents").write_table(name, pa.Table.from_pylist(documents, DOCUMENT_SCHEMA))
        (folder / "passages").write_table(
            name, pa.Table.from_pylist(passages, PASSAGE_SCHEMA), row_group_rows=row_group_rows
        )
    return texts


class BagOfWords:
    """Stands for a sentence-transformers model: one dimension a known word, and the prompts it was given."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self.calls: list[tuple[str, int, list[str]]] = []

    def encode(self, inputs, *, prompt, batch_size, show_progress_bar):
        assert show_progress_bar is False
        self.calls.append((prompt, batch_size, list(inputs)))
        vectors = np.full((len(inputs), len(self.words) + 1), 0.01, dtype=np.float32)
        for vector, text in zip(vectors, inputs, strict=True):
            for word in text.split():
                if word in self.words:
                    vector[self.words.index(word)] += 1.0
        return vectors * 3.0
