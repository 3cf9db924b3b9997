"""Documents that share a stretch of words with evaluation text are kept out of the corpus.

The rule of 13 words is that of Brown et al., "Language Models are Few-Shot Learners" (arXiv 2005.14165), appendix C,
save that a document is left out whole. As there, a shorter string of evaluation text is compared whole, down to 8
words; one that is shorter still would hit by chance, and only a text that is the same from end to end shares it.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.config import DecontaminationConfig, FieldNames, cache_dir
from app.corpus.ngrams import Hashes, hash_words, join_hashes, words_of
from app.corpus.sources import KNOWN_SUFFIXES, SourceFile, find_files, format_of
from app.corpus.streams import UNREADABLE, RawFile, UnreadableError, read_blocks
from app.faults import UserError
from app.storage import open_storage

MIN_SHARED_WORDS = 8
_BATCH_ROWS = 128


@dataclass(frozen=True)
class EvaluationText:
    """Files of evaluation text."""

    files: list[SourceFile]
    left_out: list[str]
    """Names of others in the same folders, whose suffix tells no format that is read."""


@dataclass(frozen=True)
class Contaminants:
    """Every n-gram of the evaluation text, and its shorter strings whole."""

    hashes: dict[int, Hashes]
    """Number of words → the hashes of stretches as long as that, ascending, each once."""
    ngram_words: int
    num_files: int
    num_strings: int

    @property
    def num_ngrams(self) -> int:
        """Stretches of all lengths."""
        return sum(map(len, self.hashes.values()))

    def describe(self) -> str:
        """What texts are compared with, as a line for a person."""
        if not self.num_ngrams:
            return (
                "corpus: compared with no evaluation text; name the benchmarks that you will measure with in "
                "corpus.decontamination.paths"
            )
        return (
            f"corpus: compared with {self.num_files:,} files of evaluation text: {self.num_strings:,} strings, "
            f"{self.num_ngrams:,} n-grams (of {self.ngram_words} words, shorter strings whole)"
        )

    def find_contamination(self, text: str) -> str | None:
        """The first stretch of words that a text shares with the evaluation text; None when there is none."""
        if not self.hashes:
            return None
        words = words_of(text)
        word_hashes = hash_words(words)
        for num_words, hashes in self.hashes.items():
            if num_words < min(MIN_SHARED_WORDS, self.ngram_words) and num_words != len(words):
                continue
            ngrams = join_hashes(word_hashes, num_words)
            places = np.minimum(np.searchsorted(hashes, ngrams), len(hashes) - 1)
            hits = np.flatnonzero(hashes[places] == ngrams)
            if len(hits):
                return " ".join(words[hits[0] : hits[0] + num_words])
        return None


def list_evaluation_files(config: DecontaminationConfig, ruler_dir: Path | None = None) -> EvaluationText:
    """Files that the settings name, and RULER's ingredients where they are in the cache.

    Args:
        config: What to look for.
        ruler_dir: Folder that may hold RULER's texts. If omitted, `ruler` in the cache folder.

    Raises:
        UserError: A path that is not there; names the field.
    """
    text = EvaluationText([], [])
    for index, path in enumerate(config.paths):
        found = _list(path)
        if not found.files:
            others = f" (but {', '.join(found.left_out[:3])})" if found.left_out else ""
            raise UserError(
                f"corpus.decontamination.paths.{index}: {path!r} is not there or holds no text that can be read"
                f"{others}; give a file, a folder or a glob of {', '.join(KNOWN_SUFFIXES)}"
            )
        text.files.extend(found.files)
        text.left_out.extend(found.left_out)
    if config.ruler:
        # The folder's other files tell where the ingredients are from.
        ingredients = _list(str(ruler_dir or cache_dir() / "ruler")).files
        text.files.extend(file for file in ingredients if file.format == "jsonl")
    return text


def read_contaminants(files: Sequence[SourceFile], ngram_words: int) -> Contaminants:
    """The n-grams of these files; none reaches from one string or file into the next.

    Raises:
        UserError: a file is not what its name says, is not UTF-8, or holds no word.
    """
    parts: dict[int, list[Hashes]] = defaultdict(list)
    num_strings = 0
    for file in files:
        num_before = num_strings
        for text in _read_strings(file):
            words = words_of(text)
            if words:
                num_strings += 1
                num_words = min(ngram_words, len(words))
                parts[num_words].append(np.unique(join_hashes(hash_words(words), num_words)))
        if num_strings == num_before:
            raise UserError(f"corpus.decontamination: {file.name} holds no word to compare with; remove it")
    # The longest first: they tell the most.
    hashes = {length: np.unique(np.concatenate(parts[length])) for length in sorted(parts, reverse=True)}
    return Contaminants(hashes, ngram_words, len(files), num_strings)


def _list(uri: str) -> EvaluationText:
    filesystem, path = open_storage(uri)
    infos, is_chosen_by_name = find_files(filesystem, path)
    found = EvaluationText([], [])
    for info in sorted(infos, key=lambda info: str(info.path)):
        file_format = format_of(info.path) or ("text" if is_chosen_by_name else None)
        if file_format is None:
            found.left_out.append(info.path)
        else:
            size, mtime_ns = info.size or 0, info.mtime_ns or 0
            file = SourceFile(info.path, uri, info.path, file_format, size, 0, FieldNames(), mtime_ns)
            found.files.append(file)
    return found


def _read_strings(file: SourceFile) -> Iterator[str]:
    try:
        if file.format == "parquet":
            yield from _read_parquet(file)
            return
        text = b"".join(read_blocks(file)).decode("utf-8-sig")
        yield from _strings_in(_parse_json(text) if file.format == "jsonl" else text)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError, UnreadableError, *UNREADABLE) as error:
        raise UserError(
            f"corpus.decontamination: {file.name} can't be read ({error}); fix or remove it"
        ) from error


def _read_parquet(file: SourceFile) -> Iterator[str]:
    with RawFile(file) as raw:
        for batch in pq.ParquetFile(pa.PythonFile(raw, mode="r")).iter_batches(_BATCH_ROWS):
            yield from _strings_in(batch.to_pylist())


def _parse_json(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        # Not `splitlines`: JSON may hold U+2028 and its like in a string.
        return [json.loads(line) for line in text.split("\n") if line.strip()]


def _strings_in(value: object) -> Iterator[str]:
    """All strings of a JSON value, keys left out; nesting may be deeper than Python's own stack."""
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict | list):
            members: Iterable[object] = item.values() if isinstance(item, dict) else item
            waiting.extend(members)
