"""Texts → unit vectors, with the prefixes that the model was trained with."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from app.config import RetrievalConfig
from app.faults import UserError
from app.models.places import resolve_model

Vectors = npt.NDArray[np.float32]

_E5_NAME = re.compile(r"(?:^|[-_:])e5(?:[-_.]|$)", re.IGNORECASE)
_E5_INSTRUCT_NAME = re.compile(r"e5[-_](?:mistral|.*instruct)", re.IGNORECASE)
_E5_INSTRUCTION = (
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
)


class Prefixes(NamedTuple):
    """Texts that precede every query and every passage."""

    query: str
    passage: str


def resolve_prefixes(
    model: str,
    prompts: Mapping[str, str],
    query_prefix: str | None = None,
    passage_prefix: str | None = None,
) -> Prefixes:
    """Prefixes for a model: those given; else the E5 family's, known by name; else the model's own; else none.

    E5's are those of its model cards (arXiv 2212.03533, 2402.05672; with instructions: 2401.00368).

    Args:
        model: Name or folder of the model; only the last part counts.
        prompts: The model's own, by name.
        query_prefix: Overrides all others for queries, also when empty.
        passage_prefix: Overrides all others for passages, also if empty.
    """
    name = model.rstrip("/").rpartition("/")[2]
    if _E5_NAME.search(name):
        prefixes = (
            Prefixes(_E5_INSTRUCTION, "")
            if _E5_INSTRUCT_NAME.search(name)
            else Prefixes("query: ", "passage: ")
        )
    else:
        own = (prompts[key] for key in ("passage", "document", "corpus") if prompts.get(key))
        prefixes = Prefixes(prompts.get("query", ""), next(own, ""))
    return Prefixes(
        prefixes.query if query_prefix is None else query_prefix,
        prefixes.passage if passage_prefix is None else passage_prefix,
    )


class TextEncoder(Protocol):
    """The part of `SentenceTransformer` that is used here."""

    def encode(
        self, inputs: list[str], *, prompt: str, batch_size: int, show_progress_bar: bool
    ) -> npt.NDArray[Any]:
        """Vectors `[num_inputs, dim]` of the inputs, each prefixed with the prompt."""
        ...


class Embedder:
    """A text encoder with its prefixes; all vectors have length 1, so that inner product is cosine similarity.

    A text of more tokens than the encoder reads is embedded in pieces, and has the mean of their directions: the
    encoder itself would leave out its end without a word.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        prefixes: Prefixes,
        batch_size: int,
        reads: Callable[[list[str]], list[bool]] = lambda texts: [True] * len(texts),
    ) -> None:
        """An embedder.

        Args:
            encoder: What embeds.
            prefixes: From `resolve_prefixes`.
            batch_size: Of passages.
            reads: Whether the encoder reads each of these texts, prefix included, to its end.
        """
        self._encoder = encoder
        self._prefixes = prefixes
        self._batch_size = batch_size
        self._reads = reads
        self.num_in_pieces = 0
        """Texts so far that were longer than the encoder reads."""

    @classmethod
    def load(
        cls,
        config: RetrievalConfig,
        prefixes: Prefixes,
        revision: str | None = None,
        device: str | None = None,
    ) -> "Embedder":
        """Load the model.

        Args:
            config: Model, dtype, embedding_tokens, batch_size.
            prefixes: From `resolve_prefixes`.
            revision: Commit that the index was made with.
            device: `cuda` or `cpu`. If omitted, the GPU if there is one.

        Raises:
            UserError: `retrieval.embedding_tokens` is more than the model reads.
        """
        import torch
        from sentence_transformers import SentenceTransformer

        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        model = SentenceTransformer(
            resolve_model(config.model),
            revision=revision,
            device=device,
            trust_remote_code=False,
            model_kwargs={"dtype": getattr(torch, config.dtype)},
        )
        check_embedding_tokens(config, model.max_seq_length)
        model.max_seq_length = config.embedding_tokens

        def reads(texts: list[str]) -> list[bool]:
            found = model.tokenizer(texts, truncation=False, verbose=False)["input_ids"]
            return [len(token_ids) <= config.embedding_tokens for token_ids in found]

        return cls(model, prefixes, config.batch_size, reads)

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors `[num_texts, dim]`. The encoder batches by length, so hand it many texts at once."""
        return self._embed(texts, self._prefixes.passage, self._batch_size)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors `[num_texts, dim]`, each the same whatever other queries it comes with.

        Padding to a batch's longest text and kernels that depend on the batch's size change last bits, and so the
        order of near-ties: a resumed run would see other documents. Queries are few and short, so each goes alone.
        """
        return self._embed(texts, self._prefixes.query, 1)

    def _embed(self, texts: Sequence[str], prefix: str, batch_size: int) -> Vectors:
        pieces, owners = self._cut(texts, prefix)
        encoded = self._encoder.encode(pieces, prompt=prefix, batch_size=batch_size, show_progress_bar=False)
        vectors = _unit(np.asarray(encoded, dtype=np.float32))
        if len(pieces) == len(texts):
            return vectors
        sums = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
        np.add.at(sums, owners, vectors)
        return _unit(sums)

    def _cut(self, texts: Sequence[str], prefix: str) -> tuple[list[str], list[int]]:
        """Pieces that the encoder reads, in order, and the number of the text that each is of."""
        pieces, owners = list(texts), list(range(len(texts)))
        while True:
            is_read = self._reads([prefix + piece for piece in pieces])
            some = [[piece] if fits else _halves(piece) for piece, fits in zip(pieces, is_read, strict=True)]
            if sum(map(len, some)) == len(pieces):
                self.num_in_pieces += sum(count > 1 for count in Counter(owners).values())
                return pieces, owners
            owners = [owner for owner, each in zip(owners, some, strict=True) for _ in each]
            pieces = [piece for each in some for piece in each]


def _halves(text: str) -> list[str]:
    """A text in two, between words where there is a blank; one of a single character stays whole."""
    middle = len(text) // 2
    blank = text.rfind(" ", 1, middle + 1)
    cut = blank if blank > middle // 2 else middle
    return [text[:cut], text[cut:]] if cut else [text]


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    assert bool(np.all(np.isfinite(lengths)) and np.all(lengths > 0)), (
        "the model gave a vector without a direction"
    )
    return np.ascontiguousarray(vectors / lengths)


def check_embedding_tokens(config: RetrievalConfig, max_tokens: int | None) -> None:
    """Raise a UserError if `retrieval.embedding_tokens` is more than the model reads; None means unknown."""
    if max_tokens is not None and config.embedding_tokens > max_tokens:
        raise UserError(
            f"retrieval.embedding_tokens: {config.embedding_tokens} is more than {config.model} can read; "
            f"at most {max_tokens}"
        )
