"""The run folder: the resolved settings, and artefacts that are either complete or absent.

RUN/config.json               resolved settings and versions of the job that wrote last
RUN/ARTEFACT/settings.json    the settings that decide what this artefact is
RUN/ARTEFACT/_complete.json   written last; without it the artefact is half done
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from app.config import RunConfig
from app.faults import UserError
from app.records.dataset import DatasetRecord
from app.records.documents import CorpusRecord, IndexRecord
from app.records.gate import GateRecord
from app.records.probe import RopeSearchRecord
from app.records.record import Record
from app.records.training import StageRecord
from app.storage import Folder
from app.versions import installed_versions

CONFIG_FILE, REPORT_FILE = "config.json", "report.html"
SETTINGS_FILE = "settings.json"
COMPLETE_FILE = "_complete.json"
DOCUMENTS_DIR, PASSAGES_DIR = "documents", "passages"
"""Of the corpus."""
DATA_DIR = "data"
"""Of a stage's folder: its sequences."""
EXPORT_DIR = "export"
"""Of a stage's folder: its model."""
ASKED_FILE = "asked.json"
"""Beside an evaluation's report, when all of it was answered: what was asked."""


R = TypeVar("R", bound=Record)


class Artefact(Generic[R]):
    """One folder of a run that one job makes and others read.

    Args:
        folder: Where it is.
        kind: The type of its record.
    """

    def __init__(self, folder: Folder, kind: type[R]) -> None:
        self.folder = folder
        self._kind = kind

    def claim(self, identity: dict[str, Any]) -> None:
        """Take the folder for an artefact of this identity; see `claim`."""
        claim(self.folder, identity)

    def is_complete(self) -> bool:
        return self.folder.exists(COMPLETE_FILE)

    def complete(self, record: R) -> None:
        """Declare the artefact whole and record what it holds. Nothing is written into it afterwards."""
        record.write(self.folder, COMPLETE_FILE)

    def record(self) -> R:
        """What `complete` recorded.

        Raises:
            UserError: The file is damaged or of another shape.
        """
        return self._kind.read(self.folder, COMPLETE_FILE)


class Run:
    """A run's folder."""

    def __init__(self, run_dir: str, documents_of: "Run | None" = None) -> None:
        """A run.

        Args:
            run_dir: URI of the run's folder.
            documents_of: Another run, whose corpus and index this one reads; None: it has its own.
        """
        self.folder = Folder(run_dir)
        documents = documents_of.folder if documents_of else self.folder
        self.corpus = Artefact(documents / "corpus", CorpusRecord)
        self.index = Artefact(documents / "index", IndexRecord)
        self.dataset = Artefact(self.folder / "dataset", DatasetRecord)
        self.gates = self.folder / "gates"
        self.evaluation = self.folder / "eval"
        self.evaluation_report = self.evaluation / "report"
        self.probe = self.folder / "probe"

    def stage(self, name: str) -> Artefact[StageRecord]:
        """A training stage's folder: its packed data, checkpoints, metrics and export."""
        return Artefact(self.folder / "train" / name, StageRecord)

    def rope_search(self, stage: str) -> Artefact[RopeSearchRecord]:
        """The search for a stage's RoPE, in the stage's folder."""
        return Artefact(self.stage(stage).folder / "rope", RopeSearchRecord)

    def gate(self, stage: str) -> GateRecord | None:
        """What the gate behind a stage measured; None: nothing yet.

        Raises:
            UserError: The file is damaged or of another shape.
        """
        name = f"{stage}.json"
        return GateRecord.read(self.gates, name) if self.gates.exists(name) else None

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


def claim(folder: Folder, identity: dict[str, Any]) -> None:
    """Take a folder for what has this identity, or go on in it when it was made with the same.

    Args:
        folder: What is made in it.
        identity: All that decides what it is, as JSON values by the names of the settings.

    Raises:
        UserError: It was made with another; names the first field that differs.
    """
    check_claim(folder, identity)
    if not folder.exists(SETTINGS_FILE):
        folder.write_json(SETTINGS_FILE, identity)


def check_claim(folder: Folder, identity: dict[str, Any]) -> None:
    """Refuse a folder that `claim` would refuse, and write nothing."""
    made_with = read_identity(folder)
    for name, was, now in differences(made_with, identity) if made_with is not None else ():
        raise UserError(
            f"{name}: {folder.uri} was made with {was!r}, but now it is {now!r}; "
            f"change it back, or give another run_dir"
        )


def read_identity(folder: Folder) -> dict[str, Any] | None:
    """What a folder was claimed with; None: it was not.

    Raises:
        UserError: The file is damaged.
    """
    if not folder.exists(SETTINGS_FILE):
        return None
    try:
        identity = json.loads(folder.read_bytes(SETTINGS_FILE))
    except ValueError:
        identity = None
    if not isinstance(identity, dict):
        raise UserError(
            f"{(folder / SETTINGS_FILE).uri}: is damaged; restore the file, or give another run_dir"
        )
    return identity


def fingerprint_of(value: object) -> str:
    """Hash of JSON values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


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
