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
from app.corpus.ngrams import Hashes, hash_words, join_hashes
from app.corpus.sources import KNOWN_SUFFIXES, SourceFile, find_files, format_of
from app.corpus.streams import UNREADABLE, RawFile, UnreadableError, read_blocks
from app.faults import UserError
from app.storage import open_storage
from app.text.words import split_words

MIN_SHARED_WORDS = 8
_BATCH_ROWS = 128
_BATCH_WORDS = 500_000


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
        words = split_words(text)
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
        for strings in _batches(_read_strings(file)):
            num_strings += len(strings)
            for num_words, found in _hash_strings(strings, ngram_words).items():
                parts[num_words].append(found)
        if num_strings == num_before:
            raise UserError(f"corpus.decontamination: {file.name} holds no word to compare with; remove it")
    # The longest first: they tell the most.
    hashes = {length: _distinct(np.concatenate(parts[length])) for length in sorted(parts, reverse=True)}
    return Contaminants(hashes, ngram_words, len(files), num_strings)


def _batches(texts: Iterable[str]) -> Iterator[list[list[str]]]:
    """The words of the texts that hold any, some hundred thousand words at a time."""
    batch: list[list[str]] = []
    num_words = 0
    for text in texts:
        if words := split_words(text):
            batch.append(words)
            num_words += len(words)
        if num_words >= _BATCH_WORDS:
            yield batch
            batch, num_words = [], 0
    if batch:
        yield batch


def _hash_strings(strings: list[list[str]], ngram_words: int) -> dict[int, Hashes]:
    """Number of words → hashes of the strings' n-grams; a string of fewer words gives one hash, of its whole.

    All strings are hashed as one array: an array for each would take most of the time.
    """
    lengths = np.fromiter(map(len, strings), dtype=np.int64, count=len(strings))
    ends = np.cumsum(lengths)
    starts = ends - lengths
    word_hashes = hash_words([word for words in strings for word in words])
    found = {
        int(length): _distinct(join_hashes(word_hashes, int(length))[starts[lengths == length]])
        for length in np.unique(lengths[lengths < ngram_words])
    }
    ngrams = join_hashes(word_hashes, ngram_words)
    # A stretch that begins in one string and ends in the next stands in neither.
    words_left = np.repeat(ends, lengths) - np.arange(len(word_hashes))
    whole = np.flatnonzero(words_left[: len(ngrams)] >= ngram_words)
    if len(whole):
        found[ngram_words] = _distinct(ngrams[whole])
    return found


def _distinct(hashes: Hashes) -> Hashes:
    """The hashes, ascending, each once. NumPy's `unique` takes several times as long for millions of them."""
    ordered = np.sort(hashes)
    is_first = np.ones(len(ordered), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    return ordered[is_first]


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
