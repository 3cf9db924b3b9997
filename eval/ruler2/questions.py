"""Reads RULERv2's own files, as `ns prepare_data ruler2` (NeMo-Skills) writes them: SETUP/TASK/test.jsonl."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.config import Ruler2Config
from app.faults import UserError, one_line
from eval.question_ids import question_id
from eval.ruler2.scores import TASKS, Match

FIELD = "evaluate.ruler2.path"
FILE = "test.jsonl"
GIVE = f"give the folder that `ns prepare_data ruler2` wrote, with TASK/{FILE}"


@dataclass(frozen=True, slots=True)
class Question:
    """One question, which is one sample."""

    name: str
    """Of its setup, task and row."""
    task: str
    setup_tokens: int
    """The most tokens that a prompt of its setup has, as the file counts them: without a template."""
    prompt: str
    """All that the user says."""
    answers: tuple[str, ...]

    @property
    def sample_id(self) -> str:
        """Name and hash of all that decides reply and score."""
        return question_id(self.name, asdict(self))


def read_questions(settings: Ruler2Config) -> list[Question]:
    """The questions of the tasks that are asked for: setup by setup, from the shortest, task by task.

    Raises:
        UserError: There is no such folder, a task is missing, or a row is not RULERv2's; names it.
    """
    if settings.path is None:
        raise UserError(f"{FIELD}: is missing; {GIVE}")
    root = Path(settings.path).expanduser()
    tasks = [*(settings.tasks or TASKS)]
    setups: list[list[Question]] = []
    for folder in _setups(root):
        rows = {task: _rows(folder / task / FILE)[: settings.limit] for task in tasks}
        lengths = [row.length for of_task in rows.values() for row in of_task]
        name = "" if folder == root else f"{folder.relative_to(root).as_posix()}-"
        setups.append(
            [
                Question(f"{name}{task}-{number:05}", task, max(lengths), row.prompt, row.answers)
                for task, of_task in rows.items()
                for number, row in enumerate(of_task)
            ]
        )
    if not setups:
        raise UserError(f"{FIELD}: {settings.path!r} holds no task of RULERv2; {GIVE}")
    return [
        question for setup in sorted(setups, key=lambda setup: setup[0].setup_tokens) for question in setup
    ]


@dataclass(frozen=True, slots=True)
class _Row:
    length: int
    prompt: str
    answers: tuple[str, ...]


def _setups(root: Path) -> list[Path]:
    """The folder itself or those in it: each that holds a folder of a task."""
    found = {file.parent.parent for task in TASKS for file in root.glob(f"**/{task}/{FILE}")}
    return sorted(found)


def _rows(file: Path) -> list[_Row]:
    try:
        # Not splitlines: a line separator may stand within a JSON text.
        lines = file.read_text("utf-8").split("\n")
        rows = [json.loads(line) for line in lines if line.strip()]
    except FileNotFoundError as error:
        raise UserError(
            f"{FIELD}: {str(file)!r} is missing; {GIVE}, or name the tasks that you have in evaluate.ruler2.tasks"
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{FIELD}: {str(file)!r} can't be read ({one_line(error)}); {GIVE}") from error
    if not rows:
        raise UserError(f"{FIELD}: {str(file)!r} holds no row; {GIVE}")
    task = file.parent.name
    return [_row(f"{FIELD}: row {number} of {task}/{FILE}", task, row) for number, row in enumerate(rows, 1)]


def _row(where: str, task: str, row: Any) -> _Row:
    if not isinstance(row, dict):
        raise UserError(f"{where}: is not an object; {GIVE}")
    prompt, length = row.get("question"), row.get("length")
    if not isinstance(prompt, str) or not prompt.strip():
        raise UserError(f"{where}: question {prompt!r} is not a text; {GIVE}")
    if not isinstance(length, int) or length < 1:
        raise UserError(f"{where}: length {length!r} is not a number of tokens; {GIVE}")
    given = row.get("expected_answer")
    # A choice is one letter; all other tasks have a list.
    answers = [given] if TASKS[task] is Match.CHOICE else given
    if not isinstance(answers, list) or not answers or not all(isinstance(each, str) for each in answers):
        raise UserError(f"{where}: expected_answer {given!r} is not what {task} has; {GIVE}")
    return _Row(length, prompt, tuple(answers))
