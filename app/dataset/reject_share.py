"""When most rows are rejected for one reason, that is no dataset: the job stops, and these rows are made again."""

from collections import Counter, deque
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs

from app.faults import UserError
from app.schema import Reject
from app.storage import Folder

MAX_DETAIL_CHARS = 200


class TooManyRejectsError(UserError):
    """Too many rows became rejects for one reason.

    Args:
        message: For the user.
        step: Of the workflow, which rejected them.
        reason: Its reason.
    """

    def __init__(self, message: str, step: str = "", reason: str = "") -> None:
        # Ray pickles errors: the message alone makes one, and the rest follows as its attributes.
        super().__init__(message)
        self.step = step
        self.reason = reason


class LatestRejects:
    """Watches the latest rows of one agent actor.

    Args:
        max_share: Of them, for one reason.
        num_rows: How many rows are looked at; fewer are not judged.
    """

    def __init__(self, max_share: float, num_rows: int) -> None:
        self._max_share = max_share
        self._latest: deque[Reject | None] = deque(maxlen=num_rows)

    def add(self, reject: Reject | None) -> None:
        """Add one finished row; None: it became an example.

        Raises:
            TooManyRejectsError: The share is above the limit.
        """
        self._latest.append(reject)
        if reject is not None and len(self._latest) == self._latest.maxlen:
            check_rejects(self._latest, self._max_share)


def check_rejects(rejects: Iterable[Reject | None], max_share: float) -> None:
    """Refuse rows of which too many became rejects for one reason.

    Args:
        rejects: One for each row; None: it became an example.
        max_share: For one reason.

    Raises:
        TooManyRejectsError: The share is above the limit.
    """
    rows = list(rejects)
    reasons = Counter((reject.step, reject.reason) for reject in rows if reject is not None)
    for (step, reason), number in reasons.most_common(1):
        if number > max_share * len(rows):
            details = [
                row.detail for row in rows if row is not None and (row.step, row.reason) == (step, reason)
            ]
            words = " ".join(f"{reason}: {details[-1]}".split())[:MAX_DETAIL_CHARS] if details[-1] else reason
            raise TooManyRejectsError(
                f"dataset.max_reject_share: {number} of {len(rows)} rows became rejects for one reason ({step}: "
                f"{words}), above {max_share:.0%}; fix that, and the same command makes them again, or "
                f"raise dataset.max_reject_share",
                step,
                reason,
            )


def take_back(results: Folder, checkpoint: Folder, calls: Folder, step: str, reason: str) -> int:
    """Undo the rows that became rejects for one reason; they are made again by the next start.

    Their calls up to that step stay in the journal, and their answers at that step go.

    Args:
        results: Result rows.
        checkpoint: Ids of the rows whose result is committed.
        calls: The journals.
        step: Of the rejects; empty: all rejects are taken back.
        reason: Of the rejects; empty: all of the step.

    Returns:
        Number of rows.
    """
    taken: dict[str, str] = {}
    finished: set[str] = set()
    for name in results.list_names(".parquet"):
        table = results.read_table(name, columns=["seed_id", "reject_step", "reject_reason"])
        for row in table.to_pylist():
            wanted = (step or row["reject_step"], reason or row["reject_reason"])
            if row["reject_reason"] is not None and (row["reject_step"], row["reject_reason"]) == wanted:
                taken[row["seed_id"]] = row["reject_step"]
            else:
                finished.add(row["seed_id"])
    # In this order: a row without a result is made, while a result without a row would be missed for good.
    for folder in (checkpoint, results):
        for name in folder.list_names(".parquet"):
            _drop_rows(folder, name, set(taken))
    # Rows that were under way when the job stopped may hold such answers too.
    listed = calls.filesystem.get_file_info(pafs.FileSelector(calls.path, allow_not_found=True))
    for seed_id in {info.base_name for info in listed} - finished:
        journal = calls / seed_id
        for name in journal.list_names(".json"):
            if journal.read_json(name)["step"] == taken.get(seed_id, step):
                journal.filesystem.delete_file(journal.file(name))
    return len(taken)


def _drop_rows(folder: Folder, name: str, seed_ids: set[str]) -> None:
    table = folder.read_table(name)
    kept = table.filter(pc.invert(pc.is_in(table["seed_id"], pa.array(list(seed_ids), pa.string()))))
    if not kept.num_rows:
        folder.filesystem.delete_file(folder.file(name))
    elif kept.num_rows < table.num_rows:
        folder.write_table(name, kept)
