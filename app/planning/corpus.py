"""Numbers of documents, passages and tokens in the corpus: counted, sampled, or from the settings."""

from dataclasses import dataclass

import numpy as np

from app.config import Config
from app.corpus.reader import read_file
from app.corpus.sources import SourceFile, compression_of, list_files
from app.corpus.streams import StorageError
from app.faults import UserError, one_line
from app.planning.lengths import Lengths, of_counts, of_mean
from app.run import DOCUMENTS_DIR, Run
from app.schema import Document
from app.storage import Folder

PASSAGE_FILL = 0.88
"""Of `corpus.passage_tokens` that a passage of a long document has, as passages end where sentences do: counted on the
bundled sample (4,772 passages of 1,079,651 tokens, at most 256 each)."""
CHARS_PER_TOKEN = 4.2
"""Of English text: 4.16 on the bundled sample in SmolLM2's tokens."""
ZSTD_SHARE = 0.4
"""Of a text's bytes that zstd leaves: 0.35 for the bundled sample's documents and passages with their numbers."""
SAMPLE_CHARS = 20_000_000
MOST_PARTS = 20
"""Of a finished corpus whose documents' lengths are read."""


@dataclass(frozen=True)
class CorpusPlan:
    """Size of the corpus that `longstrap index` builds."""

    num_documents: int
    num_tokens: int
    num_passages: int
    lengths: Lengths
    """Lengths of the documents, in the generator's tokens."""
    source: str
    """Where these numbers come from."""
    is_counted: bool = False
    """Whether they are counted in tokens; else they are an estimate."""

    @property
    def passage_tokens(self) -> float:
        """Mean tokens per passage."""
        return self.num_tokens / self.num_passages


def plan_corpus(config: Config) -> CorpusPlan:
    """Size of the run's corpus if it is complete on a local disk; else from the settings; else from a sample of its
    files.

    Raises:
        UserError: None of them is known; the message names the settings to give.
    """
    corpus = Run(config.run_dir).corpus if "://" not in config.run_dir else None
    if corpus is not None and corpus.is_complete():
        record = corpus.record()
        documents = corpus.folder / DOCUMENTS_DIR
        parts = documents.list_names(".parquet")[:MOST_PARTS]
        counts = [documents.read_table(part, ["num_tokens"])["num_tokens"].to_numpy() for part in parts]
        return CorpusPlan(
            record.num_documents,
            record.num_tokens,
            record.num_passages,
            of_counts(np.concatenate(counts)),
            "the run's corpus",
            is_counted=True,
        )
    plan = config.plan
    if plan.num_corpus_documents is not None and plan.num_corpus_tokens is not None:
        lengths = of_mean(plan.num_corpus_tokens / plan.num_corpus_documents)
        return _of_lengths(config, plan.num_corpus_documents, plan.num_corpus_tokens, lengths, "the settings")
    return _sample(config)


def _sample(config: Config) -> CorpusPlan:
    """Read all documents if they are few; else read the first ones and estimate the rest from the files' sizes."""
    remedy = "give plan.num_corpus_documents and plan.num_corpus_tokens"
    try:
        files = list_files(config.corpus.sources, excluded=Folder(config.run_dir))
        counts, num_chars, is_whole = _count_documents(files, config.corpus.max_document_bytes)
    except (OSError, StorageError, UserError) as error:
        reason = one_line(error)
        raise UserError(
            f"plan.num_corpus_tokens: is missing, and the documents can't be read here ({reason}); {remedy}"
        ) from error
    if not counts:
        raise UserError(
            f"plan.num_corpus_tokens: is missing, and corpus.sources holds no document that can be read; {remedy}"
        )
    lengths = of_counts(counts)
    all_chars = (
        num_chars if is_whole else max(num_chars, sum(file.num_bytes * _expansion(file) for file in files))
    )
    num_tokens = round(all_chars / CHARS_PER_TOKEN)
    source = "its files" if is_whole else "a sample of its files"
    return _of_lengths(config, max(1, round(num_tokens / lengths.mean)), num_tokens, lengths, source)


def _count_documents(files: list[SourceFile], max_document_bytes: int) -> tuple[list[int], int, bool]:
    """Tokens of each document by its characters, characters of all, and whether these are all documents."""
    counts: list[int] = []
    num_chars = 0
    for file in files:
        for row in read_file(file, max_document_bytes):
            if isinstance(row, Document):
                counts.append(max(1, round(len(row.text) / CHARS_PER_TOKEN)))
                num_chars += len(row.text)
            if num_chars >= SAMPLE_CHARS:
                return counts, num_chars, False
    return counts, num_chars, True


def _expansion(file: SourceFile) -> float:
    """Characters of text that a byte of a file holds."""
    is_compressed = file.format == "parquet" or compression_of(file.open_filesystem()[1]) is not None
    return 1 / ZSTD_SHARE if is_compressed else 1.0


def _of_lengths(
    config: Config, num_documents: int, num_tokens: int, lengths: Lengths, source: str
) -> CorpusPlan:
    """Passages of each document: its tokens over those of a passage, rounded up."""
    size = PASSAGE_FILL * config.corpus.passage_tokens
    per_document = lengths.mean_of(lambda tokens: np.ceil(tokens / size))
    return CorpusPlan(num_documents, num_tokens, round(num_documents * per_document), lengths, source)
