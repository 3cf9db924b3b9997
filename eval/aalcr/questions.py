"""Reads AA-LCR's own files: a CSV of questions, and a folder of texts for each set of documents."""

import csv
import io
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from app.config import AalcrConfig
from app.faults import UserError, one_line
from eval.question_ids import question_id

FIELD = "evaluate.aalcr.path"
QUESTIONS_FILE = "AA-LCR_Dataset.csv"
TEXTS_FOLDERS = ("lcr", "extracted_text/lcr")
GIVE = f"give the published folder with {QUESTIONS_FILE} and the unpacked lcr"


@dataclass(frozen=True, slots=True)
class Question:
    """One question, which is one sample."""

    name: str
    """`question_id` of the row."""
    category: str
    """Kind of documents, such as Company Reports."""
    document_set: str
    files: tuple[str, ...]
    """Names of the documents' texts, in the order in which they are read."""
    question: str
    answer: str

    @property
    def sample_id(self) -> str:
        """Name and hash of all that the CSV says of it."""
        return question_id(self.name, asdict(self))


def read_questions(settings: AalcrConfig) -> list[Question]:
    """The questions, those on the same documents side by side, in the order of the file.

    Raises:
        UserError: There is no such file, or a row is not AA-LCR's; names the row.
    """
    path = _folder(settings) / QUESTIONS_FILE
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{FIELD}: {str(path)!r} can't be read ({one_line(error)}); {GIVE}") from error
    questions = [
        _question(f"{FIELD}: row {number} of {path.name}", row) for number, row in enumerate(rows, 1)
    ]
    if not questions:
        raise UserError(f"{FIELD}: {str(path)!r} holds no question; {GIVE}")
    names: set[str] = set()
    for question in questions:
        if question.name in names:
            raise UserError(f"{FIELD}: question_id {question.name!r} stands there twice; {GIVE}")
        names.add(question.name)
    asked = questions[: settings.limit] if settings.limit is not None else questions
    place: dict[tuple[str, ...], int] = {}
    for question in asked:
        place.setdefault(documents_of(question), len(place))
    return sorted(asked, key=lambda question: place[documents_of(question)])


def documents_of(question: Question) -> tuple[str, ...]:
    """What the documents of a question are known by."""
    return (question.category, question.document_set, *question.files)


class Documents:
    """The texts of the document sets.

    Args:
        settings: With the folder.

    Raises:
        UserError: There is no folder of texts.
    """

    def __init__(self, settings: AalcrConfig) -> None:
        found = [place for name in TEXTS_FOLDERS if (place := _folder(settings) / name).is_dir()]
        if not found:
            raise UserError(
                f"{FIELD}: {settings.path!r} has no folder lcr; unpack AA-LCR_extracted-text.zip there"
            )
        self._root = found[0]

    def check(self, questions: Sequence[Question]) -> None:
        """Refuse a folder that lacks a document.

        Raises:
            UserError: Names it.
        """
        for question in questions:
            self._files(question)

    def texts(self, question: Question) -> list[str]:
        """Texts of the documents of a question, in its order.

        Raises:
            UserError: One is missing or is not text.
        """
        texts = []
        for file in self._files(question):
            try:
                texts.append(file.read_bytes().decode("utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(
                    f"{FIELD}: {str(file)!r} can't be read ({one_line(error)}); {GIVE}"
                ) from error
        return texts

    def _files(self, question: Question) -> list[Path]:
        folder = self._root / question.category / question.document_set
        known = self._by_name.get((question.category, question.document_set), {})
        if missing := [name for name in question.files if _plain(name) not in known]:
            raise UserError(f"{FIELD}: {str(folder)!r} has no {missing[0]!r}; {GIVE}")
        return [known[_plain(name)] for name in question.files]

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], dict[str, Path]]:
        found: dict[tuple[str, str], dict[str, Path]] = {}
        for file in sorted(self._root.glob("*/*/*")):
            found.setdefault((file.parts[-3], file.parts[-2]), {})[_plain(file.name)] = file
        return found


def _plain(name: str) -> str:
    """A file's name as the CSV and any unpacker have it alike.

    The published zip does not say that its names are UTF-8: some unpackers read them in the code page of DOS. And the
    CSV has straight apostrophes where the names of some files have curved ones.
    """
    with suppress(UnicodeError):
        name = name.encode("cp437").decode("utf-8")
    return unicodedata.normalize("NFC", name).replace("’", "'").replace("‘", "'")


def _folder(settings: AalcrConfig) -> Path:
    if settings.path is None:
        raise UserError(f"{FIELD}: is missing; {GIVE}")
    return Path(settings.path).expanduser()


def _question(where: str, row: dict[str, Any]) -> Question:
    def text(name: str) -> str:
        value = row.get(name)
        if not isinstance(value, str) or not value.strip():
            raise UserError(f"{where}: {name} {value!r} is not a text; {GIVE}")
        return value

    return Question(
        name=text("question_id").strip(),
        category=text("document_category").strip(),
        document_set=text("document_set_id").strip(),
        files=tuple(name.strip() for name in text("data_source_filenames").split(";") if name.strip()),
        question=text("question"),
        answer=text("answer"),
    )
