"""Numbers for programs: rows as CSV, one observation each; a gap is an empty field."""

import csv
from collections.abc import Iterable, Mapping
from io import StringIO

Field = str | int | float | None
MAX_DECIMALS = 6


def render_csv(rows: Iterable[Mapping[str, Field]]) -> str:
    """Rows under the names of their columns.

    Args:
        rows: All with the same columns. Of none nothing is known, and the text is empty.
    """
    written = [{name: _rounded(value) for name, value in row.items()} for row in rows]
    if not written:
        return ""
    stream = StringIO()
    writer = csv.DictWriter(stream, list(written[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(written)
    return stream.getvalue()


def _rounded(value: Field) -> Field:
    return round(value, MAX_DECIMALS) if isinstance(value, float) else value
