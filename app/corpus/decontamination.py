"""Documents that share a stretch of words with evaluation text are kept out of the corpus.

The rule of 13 words is that of Brown et al., "Language Models are Few-Shot Learners" (arXiv 2005.14165),
appendix C, save that a document is left out whole.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.fs as pafs

from app.config import DecontaminationConfig, cache_dir
from app.corpus.ngrams import Hashes, hash_ngrams, words_of
from app.faults import UserError
from app.storage import open_storage

_JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
_SUFFIXES = (*_JSON_SUFFIXES, ".txt", ".md", ".markdown", ".rst")


@dataclass(frozen=True, slots=True)
class EvaluationFile:
    """A file of evaluation text."""

    root: str
    """The configured path: it tells the filesystem."""
    path: str
    num_bytes: int


@dataclass(frozen=True)
class Contaminants:
    """Every n-gram of the evaluation text."""

    hashes: Hashes
    """Sorted in ascending order, without duplicates."""
    ngram_words: int

    def find_contamination(self, text: str) -> str | None:
        """The first stretch of words that a text shares with the evaluation text; None when there is none."""
        if not len(self.hashes):
            return None
        words = words_of(text)
        ngrams = hash_ngrams(words, self.ngram_words)
        places = np.minimum(np.searchsorted(self.hashes, ngrams), len(self.hashes) - 1)
        hits = np.flatnonzero(self.hashes[places] == ngrams)
        return " ".join(words[hits[0] : hits[0] + self.ngram_words]) if len(hits) else None


def list_evaluation_files(
    config: DecontaminationConfig, ruler_dir: Path | None = None
) -> list[EvaluationFile]:
    """Files that the settings name, and RULER's ingredients where they are in the cache.

    Args:
        config: What to look for.
        ruler_dir: Folder that may hold RULER's texts. If omitted, `ruler` in the cache folder.

    Raises:
        UserError: A path that is not there; names the field.
    """
    files = []
    for index, path in enumerate(config.paths):
        found = _list_folder(path, _SUFFIXES)
        if not found:
            raise UserError(
                f"corpus.decontamination.paths.{index}: {path!r} is not there or holds no text; "
                f"give a file or a folder of {', '.join(_SUFFIXES)}"
            )
        files.extend(found)
    if config.ruler:
        # The folder's other files tell where the ingredients are from.
        files.extend(_list_folder(str(ruler_dir or cache_dir() / "ruler"), _JSON_SUFFIXES))
    return files


def read_contaminants(files: Sequence[EvaluationFile], ngram_words: int) -> Contaminants:
    """The n-grams of these files; none reaches from one string or file into the next.

    Raises:
        UserError: A file is neither JSON nor JSONL though it is named so, or is not UTF-8.
    """
    parts = [np.empty(0, dtype=np.uint64)]
    for file in files:
        parts.extend(hash_ngrams(words_of(text), ngram_words) for text in _read_strings(file))
    return Contaminants(np.unique(np.concatenate(parts)), ngram_words)


def _list_folder(uri: str, suffixes: tuple[str, ...]) -> list[EvaluationFile]:
    filesystem, path = open_storage(uri)
    [info] = filesystem.get_file_info([path])
    if info.type == pafs.FileType.File:
        return [EvaluationFile(uri, path, info.size or 0)]
    found = filesystem.get_file_info(pafs.FileSelector(path, recursive=True, allow_not_found=True))
    kept = sorted((item.path, item.size or 0) for item in found if item.path.lower().endswith(suffixes))
    return [EvaluationFile(uri, item_path, num_bytes) for item_path, num_bytes in kept]


def _read_strings(file: EvaluationFile) -> Iterator[str]:
    filesystem, _ = open_storage(file.root)
    with filesystem.open_input_file(file.path) as stream:
        content = bytes(stream.readall())
    try:
        text = content.decode("utf-8-sig")
        if file.path.lower().endswith(_JSON_SUFFIXES):
            yield from _strings_in(_parse_json(text))
        else:
            yield text
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(
            f"corpus.decontamination: {file.path} can't be read ({error}); fix or remove it"
        ) from error


def _parse_json(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


def _strings_in(value: object) -> Iterator[str]:
    """All strings of a JSON value, without keys. Nesting may be deeper than Python's own stack."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict | list):
            members: Iterable[object] = item.values() if isinstance(item, dict) else item
            waiting.extend(members)
