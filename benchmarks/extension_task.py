"""A retrieval task that a model of a few million parameters learns from nothing in minutes, at any length.

A document begins with a token of its own and ends with questions. Between them lies a haystack of noise, with needles
in it: each is one token that gives a key one of the values that this key can have. A question is the key's own token,
and the answer that must follow is the needle: which of the values it is stands in the haystack and nowhere else. All of
a document's needles are asked for, once each, so a longer document has a larger haystack and nothing else.
"""

from dataclasses import dataclass

import numpy as np

from app.storage import Folder
from app.training.data.sequence_store import (
    StoredDocument,
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

    num_keys: int = 32
    values_per_key: int = 16
    num_noise_tokens: int = 64
    """Different tokens that noise is made of."""
    num_needles: int = 16
    """Of a document, all of different keys."""

    @property
    def vocab_size(self) -> int:
        return self._first_noise + self.num_noise_tokens

    @property
    def guess_accuracy(self) -> float:
        """Of a model that knows which values a key can have, and finds no needle."""
        return 1 / self.values_per_key

    @property
    def least_tokens(self) -> int:
        """Length of a document whose haystack is all needles."""
        return 1 + 3 * self.num_needles

    def document(self, random: np.random.Generator, num_tokens: int) -> RetrievalDocument:
        """A new document of exactly this length."""
        assert num_tokens >= self.least_tokens, f"{num_tokens} tokens are fewer than {self.least_tokens}"
        num_haystack = num_tokens - 1 - 2 * self.num_needles
        # In no order, and neither are the questions.
        places = random.choice(num_haystack, self.num_needles, replace=False)
        keys = random.permutation(self.num_keys)[: self.num_needles]
        values = random.integers(0, self.values_per_key, self.num_needles)
        needles = 1 + self.num_keys + keys * self.values_per_key + values
        haystack = random.integers(self._first_noise, self.vocab_size, num_haystack)
        haystack[places] = needles
        questions = np.stack([1 + keys, needles], axis=1).ravel()
        tokens = np.concatenate([[START], haystack, questions]).astype(np.int32)
        answers = np.arange(num_haystack + 2, num_tokens, 2)
        return RetrievalDocument(tokens, answers, places / max(num_haystack - 1, 1))

    @property
    def _first_noise(self) -> int:
        return 1 + self.num_keys * (1 + self.values_per_key)


def write_documents(
    folder: Folder, task: RetrievalTask, num_tokens: int, num_documents: int, random: np.random.Generator
) -> None:
    """Write a stage's data: one document a sequence, of which the answers are learned.

    Args:
        folder: The stage's data.
        task: What to learn.
        num_tokens: Length of the stage.
        num_documents: As many as the stage's steps take.
        random: Each document is another one.
    """

    def stored(index: int) -> StoredDocument:
        document = task.document(random, num_tokens)
        is_target = np.zeros(num_tokens, np.bool_)
        is_target[document.answers] = True
        return StoredDocument(str(index), document.tokens, is_target)

    sequences = (
        lay_out_sequence([stored(index)], num_tokens, separator_id=None) for index in range(num_documents)
    )
    write_sequence_shard(folder, shard_name(0, 1), num_tokens, sequences)
