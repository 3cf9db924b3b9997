"""The run folder: the resolved settings, and artefacts that are complete or not there.

RUN/config.json               resolved settings and versions of the job that wrote last
RUN/ARTEFACT/settings.json    the settings that decide what this artefact is
RUN/ARTEFACT/_complete.json   written last; without it the artefact is half done
"""

from collections.abc import Iterator
from typing import Any

from app.config import RunConfig
from app.faults import UserError
from app.storage import Folder
from app.versions import installed_versions

CONFIG_FILE, REPORT_FILE = "config.json", "report.html"
SETTINGS_FILE = "settings.json"
COMPLETE_FILE = "_complete.json"
EXPORT_DIR = "export"
"""Of a stage's folder: its model."""
ASKED_FILE = "asked.json"
"""Beside an evaluation's report, when all of it was answered: what was asked."""


class Artefact:
    """One folder of a run that one job makes and others read."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def claim(self, settings: dict[str, Any]) -> None:
        """Take the folder for these settings, or go on in it when it was made with the same.

        Raises:
            UserError: it was made with others; names the first field that differs.
        """
        if not self.folder.exists(SETTINGS_FILE):
            self.folder.write_json(SETTINGS_FILE, settings)
            return
        made_with = self.folder.read_json(SETTINGS_FILE)
        for name, was, now in differences(made_with, settings):
            raise UserError(
                f"{name}: {self.folder.uri} was made with {was!r}, now it is {now!r}; "
                f"set it back, or give another run_dir"
            )

    def is_complete(self) -> bool:
        return self.folder.exists(COMPLETE_FILE)

    def complete(self, record: dict[str, Any]) -> None:
        """Declare the artefact whole and record what it holds. Nothing is written into it afterwards."""
        self.folder.write_json(COMPLETE_FILE, record)

    def record(self) -> dict[str, Any]:
        """What `complete` recorded."""
        record = self.folder.read_json(COMPLETE_FILE)
        assert isinstance(record, dict)
        return record


class Run:
    """A run's folder."""

    def __init__(self, run_dir: str, documents_of: "Run | None" = None) -> None:
        """A run.

        Args:
            run_dir: Its folder's URI.
            documents_of: Another run, whose corpus and index this one reads; None: it has its own.
        """
        self.folder = Folder(run_dir)
        documents = documents_of.folder if documents_of else self.folder
        self.corpus = Artefact(documents / "corpus")
        self.index = Artefact(documents / "index")
        self.dataset = Artefact(self.folder / "dataset")
        self.gates = self.folder / "gates"
        self.evaluation = self.folder / "eval"
        self.evaluation_report = self.evaluation / "report"

    def stage(self, name: str) -> Artefact:
        """A training stage's folder: its packed data, checkpoints, metrics and export."""
        return Artefact(self.folder / "train" / name)

    def write_config(self, config: RunConfig) -> None:
        """Record what this job was started with."""
        self.folder.write_json(CONFIG_FILE, {"config": config.model_dump(), "versions": installed_versions()})


def round_folder(loop: Folder, number: int) -> Folder:
    """Folder of a round of a bootstrap, counted from 1: the first is the loop's own."""
    return loop if number == 1 else loop / f"round{number}"


def later_rounds(loop: Folder) -> list[Folder]:
    """Folders of the rounds after the first that were begun."""
    found: list[Folder] = []
    while (folder := round_folder(loop, len(found) + 2)).exists(CONFIG_FILE):
        found.append(folder)
    return found


def differences(was: Any, now: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted names of the leaves in which two JSON values differ, with both values."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted(was.keys() | now.keys()):
            yield from differences(was.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for index, (old, new) in enumerate(zip(was, now, strict=True)):
            yield from differences(old, new, f"{name}.{index}")
    elif was != now:
        yield name, was, now
