"""Reads LongBench v2's own file: a JSON list, or JSONL, with a question about one long text in each row."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from app.config import LongbenchConfig, LongbenchLength
from app.faults import UserError, one_line
from eval.question_ids import question_id

FIELD = "evaluate.longbench.path"
LETTERS = "ABCD"
DIFFICULTIES = ("easy", "hard")


@dataclass(frozen=True, slots=True)
class Question:
    """One question, which is one sample."""

    name: str
    """`_id` of the row."""
    domain: str
    difficulty: str
    """`easy` or `hard`."""
    length: str
    """`short`, `medium` or `long`, as published: by the words of the text."""
    context: str
    question: str
    choices: tuple[str, ...]
    """Texts of A to D."""
    answer: str
    """The right letter."""

    @property
    def sample_id(self) -> str:
        """Name and hash of all that decides reply and score."""
        return question_id(self.name, asdict(self))


def read_questions(settings: LongbenchConfig) -> list[Question]:
    """The questions of the lengths that are asked for, in the order of the file.

    Raises:
        UserError: There is no such file, or a row is not LongBench v2's; names the row.
    """
    if settings.path is None:
        raise UserError(f"{FIELD}: is missing; give the data.json of LongBench v2")
    path = Path(settings.path).expanduser()
    try:
        rows = _rows(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{FIELD}: {settings.path!r} can't be read ({one_line(error)}); give the data.json of LongBench v2"
        ) from error
    except json.JSONDecodeError as error:
        raise UserError(
            f"{FIELD}: {settings.path!r} is neither a JSON list nor JSONL ({one_line(error)}); "
            f"give the data.json of LongBench v2"
        ) from error
    questions = [
        _question(f"{FIELD}: row {number} of {path.name}", row) for number, row in enumerate(rows, 1)
    ]
    names: set[str] = set()
    for question in questions:
        if question.name in names:
            raise UserError(f"{FIELD}: _id {question.name!r} stands there twice; give each row its own")
        names.add(question.name)
    asked = [question for question in questions if question.length in settings.lengths]
    if not asked:
        raise UserError(
            f"{FIELD}: {settings.path!r} holds no question of the lengths {', '.join(settings.lengths)}; "
            f"give other data, or other evaluate.longbench.lengths"
        )
    return asked[: settings.limit] if settings.limit is not None else asked


def _rows(text: str) -> list[Any]:
    if text.lstrip().startswith("["):
        rows: list[Any] = json.loads(text)
        return rows
    # Not splitlines: a line separator may stand within a JSON text.
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def _question(where: str, row: Any) -> Question:
    if not isinstance(row, dict):
        raise UserError(f"{where}: is not an object; give the data.json of LongBench v2")

    def text(name: str) -> str:
        value = row.get(name)
        if not isinstance(value, str) or not value.strip():
            raise UserError(f"{where}: {name} {value!r} is not a text; give the data.json of LongBench v2")
        return value

    def one_of(name: str, known: tuple[str, ...]) -> str:
        value = text(name).strip()
        if value not in known:
            raise UserError(f"{where}: {name} {value!r} is not known; known: {', '.join(known)}")
        return value

    return Question(
        name=text("_id"),
        domain=text("domain"),
        difficulty=one_of("difficulty", DIFFICULTIES),
        length=one_of("length", get_args(LongbenchLength)),
        context=text("context"),
        question=text("question"),
        choices=tuple(text(f"choice_{letter}") for letter in LETTERS),
        answer=one_of("answer", tuple(LETTERS)),
    )
