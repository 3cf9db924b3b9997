"""A retrieval task that a model of a few million parameters learns from nothing in minutes, at any length.

A document begins with a token of its own and ends with questions. Between them lies a haystack of noise, with needles
in it: each is one token that gives a key one of the values that this key can have. Every key is given several values
in different places, and the last one counts. A question is the key's own token, and the answer that must follow is the
needle that counts. So a model must find the needles of a key wherever they stand, and know which of them comes last. A
longer document has a larger haystack and nothing else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from app.storage import Folder
from app.training.sequence_store import (
    StoredDocument,
    StoredSequence,
    lay_out_sequence,
    shard_name,
    write_sequence_shard,
)

START = 0
"""Token that every document begins with."""


@dataclass(frozen=True)
class RetrievalDocument:
    """A document of some questions."""

    tokens: np.ndarray
    """int32 `[num_tokens]`."""
    answers: np.ndarray
    """Places of the answers, int64 `[num_questions]`."""
    depths: np.ndarray
    """Where the needle of each answer stands: 0 is the haystack's first token, 1 its last. `[num_questions]`."""


@dataclass(frozen=True)
class RetrievalTask:
    """What documents are made of."""

    num_keys: int = 16
    values_per_key: int = 8
    num_noise_tokens: int = 64
    """Different tokens that noise is made of."""
    num_questions: int = 10
    """Of a document: each asks for another key."""
    needles_per_key: int = 2
    """Of the keys that are asked for; all with different values."""

    @property
    def vocab_size(self) -> int:
        return self._first_noise + self.num_noise_tokens

    @property
    def accuracy_without_order(self) -> float:
        """Of a model that finds all needles of a key and takes any of them."""
        return 1 / self.needles_per_key

    @property
    def least_tokens(self) -> int:
        """Length of a document whose haystack is all needles."""
        return 1 + (2 + self.needles_per_key) * self.num_questions

    def document(self, random: np.random.Generator, num_tokens: int) -> RetrievalDocument:
        """A new document of exactly this length."""
        assert num_tokens >= self.least_tokens, f"{num_tokens} tokens are fewer than {self.least_tokens}"
        num_haystack = num_tokens - 1 - 2 * self.num_questions
        shape = (self.num_questions, self.needles_per_key)
        places = np.sort(random.choice(num_haystack, shape, replace=False), axis=1)
        keys = random.permutation(self.num_keys)[: self.num_questions]
        values = np.stack([random.permutation(self.values_per_key)[: self.needles_per_key] for _ in keys])
        needles = 1 + self.num_keys + keys[:, None] * self.values_per_key + values
        haystack = random.integers(self._first_noise, self.vocab_size, num_haystack)
        haystack[places] = needles
        questions = np.stack([1 + keys, needles[:, -1]], axis=1).ravel()
        tokens = np.concatenate([[START], haystack, questions]).astype(np.int32)
        answers = np.arange(num_haystack + 2, num_tokens, 2)
        return RetrievalDocument(tokens, answers, places[:, -1] / max(num_haystack - 1, 1))

    @property
    def _first_noise(self) -> int:
        return 1 + self.num_keys * (1 + self.values_per_key)


def write_sequences(
    folder: Folder,
    task: RetrievalTask,
    seq_tokens: int,
    contents: Iterable[Sequence[int]],
    random: np.random.Generator,
) -> None:
    """Write a stage's data, of which the answers are learned.

    Args:
        folder: The stage's data.
        task: What to learn.
        seq_tokens: Length of the stage.
        contents: For each sequence the lengths of the documents that are packed into it, kept apart.
        random: Each document is another one.
    """

    def sequence(index: int, lengths: Sequence[int]) -> StoredSequence:
        documents = [
            _stored(f"{index}-{number}", task.document(random, length))
            for number, length in enumerate(lengths)
        ]
        return lay_out_sequence(documents, seq_tokens, separator_id=None)

    sequences = (sequence(index, lengths) for index, lengths in enumerate(contents))
    write_sequence_shard(folder, shard_name(0, 1), seq_tokens, sequences)


def _stored(example_id: str, document: RetrievalDocument) -> StoredDocument:
    is_target = np.zeros(len(document.tokens), np.bool_)
    is_target[document.answers] = True
    return StoredDocument(example_id, document.tokens, is_target)
