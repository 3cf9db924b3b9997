"""A preview of a dataset: a few of its seeds through everything, and a page that grows as they are done."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from app.config import Config
from app.dataset.excerpts import shorten_example
from app.dataset.identity import identity_of_dataset
from app.dataset.pipeline import synthesize
from app.dataset.reject_share import TooManyRejectsError
from app.dataset.result_rows import RESULTS_DIR, ResultRows
from app.progress.attempts import Report, attempt, renewed
from app.recipe import with_settings
from app.report.shell import write_page
from app.run import Run, read_identity
from app.storage import Folder
from app.viewing.entries import entry_of_result
from app.viewing.page import PAGE_FILE, Heading, render_view, run_name, write_entries, write_view
from app.viewing.preview_settings import preview_config

PREVIEW_DIR = "preview"
"""Of a run's folder: the preview's own run, which reads the corpus and the index of the other."""
POLL_INTERVAL_SEC = 1.0

logger = logging.getLogger(__name__)


def preview(config: Config, run: Run, report: Report) -> None:
    """Make the preview of a run whose corpus and index are complete, and its page.

    The page is written again whenever a seed is done. A preview with other settings takes the place of the one before;
    one that was interrupted goes on.

    Args:
        config: The run's settings.
        run: The run; of it only the corpus and the index are read.
        report: Takes a line for each seed.

    Raises:
        UserError: No seed became an example; the page shows why.
    """
    folder = run.folder / PREVIEW_DIR
    small = with_settings(preview_config(config), {"run_dir": folder.uri})
    assert isinstance(small, Config)
    made = Run(folder.uri, documents_of=run)
    made_with = read_identity(made.dataset.folder)
    if made_with not in (None, identity_of_dataset(small, run.index.record())):
        report("preview: other settings than before; starting over")
        made.dataset.folder.delete()
    made.write_config(small)
    title = f"Preview of {run_name(run)}"
    told = _Told(small, made, title, report)
    with attempt(made.folder, "synthesize", small.progress.log_interval_sec, report) as reported:
        try:
            with followed(made.dataset.folder, told.show):
                synthesize(small, made, reported)
        except TooManyRejectsError:
            report(f"open      {write_entries(made, small.view, title)}")
            raise
        report(f"open      {write_view(made, small.view, title)}")


class _Told:
    """Tells what became of each seed, once, and keeps the page.

    Args:
        config: The preview's settings.
        made: Its run.
        title: Of its page.
        report: Takes the lines.
    """

    def __init__(self, config: Config, made: Run, title: str, report: Report) -> None:
        self._config, self._made, self._title, self._report = config, made, title, report
        self._seen: set[str] = set()
        self._has_shown = False

    def show(self, rows: list[dict[str, Any]]) -> None:
        """Take all rows that are done.

        Args:
            rows: In RESULT_SCHEMA.
        """
        num_seeds = self._config.dataset.num_seeds
        line = f"{len(rows):,} of {num_seeds:,} seeds are done; load the page again for more."
        entries = map(entry_of_result, rows)
        page = render_view(Heading(self._title, [line]), entries, self._config.view, {})
        place = write_page(self._made.folder, PAGE_FILE, page)
        if not self._seen:
            self._report(f"open      {place}")
        for row in rows:
            if row["seed_id"] not in self._seen:
                self._seen.add(row["seed_id"])
                self._tell(row)

    def _tell(self, row: dict[str, Any]) -> None:
        entry = entry_of_result(row)
        done = (
            f"preview: {len(self._seen)} of {self._config.dataset.num_seeds}, {entry.seed_id}, {entry.task}"
        )
        if entry.reject is not None:
            self._report(f"{done}: rejected, {entry.reject.reason}")
            return
        self._report(f"{done}: {entry.num_tokens:,} tokens")
        if not self._has_shown and entry.example is not None:
            self._has_shown = True
            self._report(shorten_example(entry.example) + "\n")


@contextlib.contextmanager
def followed(dataset: Folder, show: Callable[[list[dict[str, Any]]], None]) -> Iterator[None]:
    """Show the rows of a dataset that is being made whenever there are more of them, in another thread.

    Args:
        dataset: Its folder.
        show: Takes all rows that are done.
    """
    num_shown = 0

    def look() -> None:
        nonlocal num_shown
        try:
            rows = list(ResultRows(dataset / RESULTS_DIR).read())
        except (OSError, pa.ArrowInvalid):
            # One of the files is being written, or all of them are done with.
            return
        if len(rows) > num_shown:
            num_shown = len(rows)
            try:
                show(rows)
            except OSError as error:
                # Should storage really be gone, the job's own writes will tell.
                logger.warning("the page is not written: %s", error)

    with renewed(look, POLL_INTERVAL_SEC):
        yield
