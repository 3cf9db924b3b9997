"""How much of the input could not be read: in rows, in files and in bytes, judged by the largest of the three."""

from collections import Counter
from collections.abc import Sequence

from app.corpus.sources import SourceFile
from app.corpus.steps import UnitRecord
from app.faults import UserError
from app.quantities import size, tally


def check_malformed(
    records: Sequence[UnitRecord], files: Sequence[SourceFile], max_share: float, rejects_uri: str
) -> str:
    """Refuse a corpus of which too much is missing.

    A file that can't be read to its end is one row in the counts, and may have held half of the documents.

    Args:
        records: Of all units.
        files: All input files.
        max_share: `corpus.max_reject_share`.
        rejects_uri: Where the rejects are.

    Returns:
        A line for the person who watches.

    Raises:
        UserError: there is no row at all, or the largest share is above the limit.
    """
    reasons: Counter[str] = Counter()
    for record in records:
        reasons.update(record.num_rejects)
    num_rows = reasons.total() + sum(sum(record.shard_documents) for record in records)
    if not num_rows:
        raise UserError("corpus.sources: the files hold no row at all; give other sources")
    num_broken = len({name for record in records for name in record.broken_files})
    lost_bytes = sum(record.lost_bytes for record in records)
    num_bytes = max(1, sum(file.num_bytes for file in files))
    rows = f"{reasons.total():,} of {num_rows:,} rows are malformed"
    broken = f"{num_broken:,} of {len(files):,} files can't be read to their end"
    lost = f"{size(lost_bytes)} of {size(num_bytes)} can't be read"
    share, words = max(
        (reasons.total() / num_rows, rows), (num_broken / len(files), broken), (lost_bytes / num_bytes, lost)
    )
    if share > max_share:
        first = next(record.first_reject for record in records if record.first_reject)
        raise UserError(
            f"corpus.max_reject_share: {words} ({share:.1%}: {tally(reasons)}), above {max_share:.1%}; mend the "
            f"sources or raise it; all are in {rejects_uri}, the first is {first}"
        )
    read = f"corpus: {num_rows:,} rows read, {reasons.total():,} malformed"
    return f"{read}; {broken}, {lost}" if num_broken else read
