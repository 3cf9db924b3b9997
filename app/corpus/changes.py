"""Whether the files that a corpus, or the tokens of a source, were made of are still what they were."""

from collections.abc import Sequence

import pyarrow as pa

from app.corpus.sources import SourceFile
from app.storage import Folder

INPUTS_FILE = "inputs.parquet"
_MOST_NAMES = 3


def record_inputs(made: Folder, files: Sequence[SourceFile]) -> None:
    """Write down names, sizes and dates of all input files."""
    columns = {
        "name": [file.name for file in files],
        "num_bytes": [file.num_bytes for file in files],
        "mtime_ns": [file.mtime_ns for file in files],
    }
    made.write_table(INPUTS_FILE, pa.table(columns))


def describe_changes(
    made: Folder,
    files: Sequence[SourceFile],
    what: str = "corpus",
    remedy: str = "give another run_dir to make one of what is there now",
) -> str | None:
    """What the input files of something finished are now, as a line for a person; None where they are what they were.

    Args:
        made: Its folder.
        files: The files that are there now.
        what: Its name.
        remedy: How it is made of what is there now.
    """
    if not made.exists(INPUTS_FILE):
        return None
    rows = made.read_table(INPUTS_FILE).to_pylist()
    before = {row["name"]: (row["num_bytes"], row["mtime_ns"]) for row in rows}
    now = {file.name: (file.num_bytes, file.mtime_ns) for file in files}
    both = sorted(before.keys() & now.keys())
    kinds = {
        "new": sorted(now.keys() - before.keys()),
        "gone": sorted(before.keys() - now.keys()),
        "of another size": [name for name in both if before[name][0] != now[name][0]],
        "of another date": [
            name for name in both if before[name][0] == now[name][0] and before[name] != now[name]
        ],
    }
    found = [f"{len(names):,} {kind} ({_shown(names)})" for kind, names in kinds.items() if names]
    if not found:
        return None
    return f"{what}: its input files are not what it was made of: {', '.join(found)}; it stays as it is, {remedy}"


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
