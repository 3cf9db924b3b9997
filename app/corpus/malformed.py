"""How much of the input could not be read: in rows, in files and in bytes, judged by the largest of the three."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from app.corpus.sources import SourceFile
from app.corpus.steps import UnitRecord
from app.faults import UserError
from app.quantities import size, tally


@dataclass
class Losses:
    """What could not be read, added up."""

    num_rows: int
    num_malformed: int
    broken_files: set[str]
    """Names of the files that could not be read to their end."""
    lost_bytes: int

    def largest_share(self, files: Collection[SourceFile], fault: str = "are malformed") -> tuple[float, str]:
        """The largest of the three shares, and words for it; `fault` is that of the rows."""
        num_bytes = max(1, sum(file.num_bytes for file in files))
        return max(
            (
                self.num_malformed / max(1, self.num_rows),
                f"{self.num_malformed:,} of {self.num_rows:,} rows {fault}",
            ),
            (
                len(self.broken_files) / max(1, len(files)),
                f"{len(self.broken_files):,} of {len(files):,} files can't be read to their end",
            ),
            (
                self.lost_bytes / num_bytes,
                f"{size(self.lost_bytes)} of {size(num_bytes)} can't be read",
            ),
        )


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
        raise UserError("corpus.sources: the files contain no rows; give other sources")
    losses = Losses(
        num_rows=num_rows,
        num_malformed=reasons.total(),
        broken_files={name for record in records for name in record.broken_files},
        lost_bytes=sum(record.lost_bytes for record in records),
    )
    share, words = losses.largest_share(files)
    if share > max_share:
        first = next(record.first_reject for record in records if record.first_reject)
        raise UserError(
            f"corpus.max_reject_share: {words} ({share:.1%}: {tally(reasons)}), above {max_share:.1%}; fix the "
            f"sources or raise it; all are in {rejects_uri}, the first is {first}"
        )
    read = f"corpus: {num_rows:,} rows read, {reasons.total():,} malformed"
    broken = f"{len(losses.broken_files):,} of {len(files):,} files can't be read to their end"
    lost = f", {size(losses.lost_bytes)} are lost" if losses.lost_bytes else ""
    return f"{read}; {broken}{lost}" if losses.broken_files else read
