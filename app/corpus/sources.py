"""Resolves the configured sources to files: local or remote paths, folders, globs and the bundled sample."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import pyarrow.fs as pafs

from app.config import FieldNames, SourceConfig
from app.corpus.walking import list_folder, without_folder
from app.faults import UserError
from app.storage import Folder, open_storage

FileFormat = Literal["jsonl", "parquet", "text"]

BUNDLED_PREFIX = "bundled:"
BUNDLED_SAMPLES = {
    "public_domain_sample": "public_domain_sample.jsonl.gz",
    # Every tenth document of it.
    "public_domain_tenth": "public_domain_tenth.jsonl.gz",
}

_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_SUFFIXES: dict[FileFormat, tuple[str, ...]] = {
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "parquet": (".parquet", ".pq"),
    "text": (".txt", ".md", ".markdown", ".rst"),
}
KNOWN_SUFFIXES = tuple(suffix for suffixes in _SUFFIXES.values() for suffix in suffixes)
_HIDDEN_MARKS = (".", "_")
_GLOB_CHARACTERS = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One input file. Picklable: it is opened only when it is read."""

    name: str
    """Name of the file in documents and rejects, without credentials."""
    root: str
    """The source's configured path: it tells the filesystem."""
    path: str
    """On that filesystem; of a bundled sample its name, as each node has its own copy."""
    format: FileFormat
    num_bytes: int
    source_index: int
    fields: FieldNames
    mtime_ns: int = 0
    """When it was changed last; 0: not known."""

    def open_filesystem(self) -> tuple[pafs.FileSystem, str]:
        """Filesystem and path to read from, on this node."""
        if self.root.startswith(BUNDLED_PREFIX):
            return pafs.LocalFileSystem(), _bundled_path(self.path)
        return open_storage(self.root)[0], self.path


def list_files(sources: Sequence[SourceConfig], *, excluded: Folder | None = None) -> list[SourceFile]:
    """All input files, source by source, each source's sorted by path.

    A folder is searched through, save for hidden names (`.git`, `_delta_log`); files are taken whose suffix
    tells a format that the source's `format` allows. A glob's matches are all taken when `format` is set, save
    for hidden names that the pattern does not spell.

    Args:
        sources: The sources to list.
        excluded: Folder whose files are never taken: what the run writes is not its input.

    Raises:
        UserError: A path that is missing, matches nothing, or whose format is unknown; names the field.
    """
    return [
        file
        for index, source in enumerate(sources)
        for file in list_source(source, f"corpus.sources.{index}", index=index, excluded=excluded)
    ]


def compression_of(name: str) -> str | None:
    """The codec that a file's suffix names, as pyarrow calls it."""
    return next((codec for suffix, codec in _COMPRESSIONS.items() if name.lower().endswith(suffix)), None)


def list_source(
    source: SourceConfig,
    section: str,
    *,
    index: int = 0,
    excluded: Folder | None = None,
    has_format: bool = True,
) -> list[SourceFile]:
    """`list_files` of one source.

    Args:
        source: The source to list.
        section: What errors call the source: its place in the settings.
        index: The source's `source_index`.
        excluded: Folder whose files are never taken.
        has_format: Whether the user may set its `format`.

    Raises:
        UserError: As in `list_files`.
    """
    field = f"{section}.path"
    if source.path.startswith(BUNDLED_PREFIX):
        return [_bundled_file(index, source, field)]
    try:
        filesystem, path = open_storage(source.path)
        infos, is_chosen_by_name = find_files(filesystem, path)
    # Each filesystem has its own errors for names that it can't take; all of them are one of these.
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{field}: {source.path!r} can't be listed ({reason}); give another path") from error
    if not infos:
        is_there = filesystem.get_file_info([path])[0].type == pafs.FileType.Directory
        reason = "holds no file, but for hidden ones" if is_there else "is not there"
        raise UserError(f"{field}: {source.path!r} {reason}; give a file, a folder or a glob with matches")
    if excluded is not None and excluded.filesystem == filesystem:
        infos = without_folder(infos, excluded)
        if not infos:
            raise UserError(
                f"{field}: {source.path!r} has no files outside the run's own folder {excluded.uri}; "
                f"give another path, or another run_dir"
            )
    scheme = source.path.partition("://")[0] + "://" if "://" in source.path else ""
    files = []
    for info in sorted(infos, key=lambda info: str(info.path)):
        told = format_of(info.path)
        wanted = source.format if source.format != "auto" else told
        if wanted is None or (told != wanted and not is_chosen_by_name):
            continue
        files.append(
            SourceFile(
                name=scheme + info.path,
                root=source.path,
                path=info.path,
                format=wanted,
                num_bytes=info.size or 0,
                source_index=index,
                fields=source.fields,
                mtime_ns=info.mtime_ns or 0,
            )
        )
    if not files:
        known = ", ".join(KNOWN_SUFFIXES)
        asked = "" if source.format == "auto" else f" as {source.format}"
        remedy = f", for other names set {section}.format" if has_format else ""
        raise UserError(
            f"{field}: {source.path!r} holds no file that can be read{asked}; known: {known}{remedy}"
        )
    return files


def find_files(filesystem: pafs.FileSystem, path: str) -> tuple[list[pafs.FileInfo], bool]:
    """Files that a path means, and whether the user chose them by name (file or glob), not by folder.

    Raises:
        UserError: the name of one is not UTF-8.
    """
    [info] = filesystem.get_file_info([path])
    if info.type == pafs.FileType.File:
        return [info], True
    if info.type == pafs.FileType.Directory:
        return list_folder(filesystem, path, True, _HIDDEN_MARKS), False
    magic = _GLOB_CHARACTERS.search(path)
    if magic is None:
        return [], True
    folder, _, pattern = path[: magic.start()].rpartition("/")
    pattern += path[magic.start() :]
    is_deep = "/" in pattern or "**" in pattern
    matches = re.compile(_glob_to_regex(f"{folder}/{pattern}")).fullmatch
    spelled = {part[0] for part in pattern.split("/") if part.startswith(_HIDDEN_MARKS)}
    marks = tuple(mark for mark in _HIDDEN_MARKS if mark not in spelled)
    found = list_folder(filesystem, folder or "/", is_deep, marks)
    return [item for item in found if matches(item.path)], True


def _glob_to_regex(pattern: str) -> str:
    """`**` crosses folders, `*` and `?` do not, `[…]` is a character class."""
    parts = []
    for piece in re.findall(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", pattern, flags=re.DOTALL):
        if piece == "**/":
            parts.append("(?:.*/)?")
        elif piece == "**":
            parts.append(".*")
        elif piece == "*":
            parts.append("[^/]*")
        elif piece == "?":
            parts.append("[^/]")
        elif len(piece) > 1:
            body = piece[1:-1].replace("\\", "\\\\").replace("[", "\\[")
            parts.append(f"[^{body[1:]}]" if body.startswith("!") else f"[{body}]")
        else:
            parts.append(re.escape(piece))
    return "".join(parts)


def format_of(path: str) -> FileFormat | None:
    name = path.lower()
    codec_suffix = next((suffix for suffix in _COMPRESSIONS if name.endswith(suffix)), "")
    for file_format, suffixes in _SUFFIXES.items():
        if name.removesuffix(codec_suffix).endswith(suffixes):
            return None if codec_suffix and file_format == "parquet" else file_format
    return None


def _bundled_file(index: int, source: SourceConfig, field: str) -> SourceFile:
    name = source.path.removeprefix(BUNDLED_PREFIX)
    if name not in BUNDLED_SAMPLES:
        known = ", ".join(BUNDLED_PREFIX + sample for sample in BUNDLED_SAMPLES)
        raise UserError(f"{field}: {source.path!r} is not a bundled sample; known: {known}")
    size = pafs.LocalFileSystem().get_file_info([_bundled_path(name)])[0].size
    return SourceFile(source.path, source.path, name, "jsonl", size or 0, index, source.fields)


def _bundled_path(name: str) -> str:
    return str(resources.files("app.models.bundled") / "data" / BUNDLED_SAMPLES[name])
