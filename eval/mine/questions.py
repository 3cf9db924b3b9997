"""Reads a user's own questions: JSONL, a question a line."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from app.config import MineConfig, OwnMetric
from app.faults import UserError, one_line
from eval.haystack import read_text
from eval.question_ids import question_id

FIELD = "evaluate.mine.path"
KNOWN = {"id", "task", "question", "answer", "context", "context_file", "choices", "metric", "turns"}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CHOOSE = "Answer with the letter of the right choice."


@dataclass(frozen=True, slots=True)
class Turn:
    """What was asked before, and the right answer."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Question:
    """One question, which is one sample."""

    name: str
    """As in the file, or its row's number; with the turn's number, where a row has several."""
    task: str
    context: str
    """May be empty."""
    before: tuple[Turn, ...]
    """Earlier turns on the same context."""
    question: str
    answers: tuple[str, ...]
    """Right ones; any of them is enough."""
    metric: OwnMetric
    choices: tuple[str, ...] = ()

    @property
    def asked(self) -> str:
        """The question as it stands in the prompt: with its choices, if there are any."""
        if not self.choices:
            return self.question
        lines = [f"{letter}. {text}" for letter, text in zip(LETTERS, self.choices, strict=False)]
        return "\n".join([self.question, *lines, CHOOSE])

    @property
    def sample_id(self) -> str:
        """Name and hash of all that decides reply and score: a changed question is another one, and asked again."""
        return question_id(self.name, asdict(self))


def read_questions(settings: MineConfig) -> list[Question]:
    """The questions of the file, those on the same context side by side, in the order of the file.

    Raises:
        UserError: There is no such file, or a row of it can't be asked; names the row.
    """
    if settings.path is None:
        raise UserError(f"{FIELD}: is missing; give a JSONL file with your questions, e.g. questions.jsonl")
    path = Path(settings.path).expanduser()
    try:
        # Not splitlines: a line separator may stand within a JSON text.
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{FIELD}: {settings.path!r} can't be read ({one_line(error)}); give a JSONL file"
        ) from error
    shared = read_text("evaluate.mine.context", settings.context) if settings.context is not None else ""
    texts: dict[str, str] = {}
    questions: list[Question] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            row = _parse(f"{FIELD}: row {number} of {path.name}", line)
            questions += row.questions(settings, path, number, shared, texts)
    if not questions:
        raise UserError(f"{FIELD}: {settings.path!r} holds no question; add a row for each")
    _check_names(questions)
    place: dict[str, int] = {}
    for question in questions:
        place.setdefault(question.context, len(place))
    ordered = sorted(questions, key=lambda question: place[question.context])
    return ordered[: settings.limit] if settings.limit is not None else ordered


@dataclass(frozen=True, slots=True)
class _Row:
    where: str
    """How messages name it."""
    values: dict[str, Any]

    def questions(
        self, settings: MineConfig, path: Path, number: int, shared: str, texts: dict[str, str]
    ) -> list[Question]:
        context = self._context(path, shared, texts)
        turns = self.values.get("turns")
        if turns is not None and "question" in self.values:
            raise UserError(f"{self.where}: has question and turns; give one of the two")
        asked = [self.values] if turns is None else turns
        if not isinstance(asked, list) or not asked or not all(isinstance(turn, dict) for turn in asked):
            raise UserError(f"{self.where}: turns is not a list of {{question, answer}}; give one")
        name = str(self.values.get("id", f"q{number:05}"))
        found: list[Question] = []
        before: tuple[Turn, ...] = ()
        for index, turn in enumerate(asked):
            metric = turn.get("metric", self.values.get("metric", settings.metric))
            question = Question(
                name=name if turns is None else f"{name}-turn{index + 1}",
                task=str(self.values.get("task", settings.task)),
                context=context,
                before=before,
                question=self._text(turn, "question"),
                answers=self._answers(turn),
                metric=metric,
                choices=self._choices(turn),
            )
            self._check(question)
            found.append(question)
            before = (*before, Turn(question.asked, question.answers[0]))
        return found

    def _context(self, path: Path, shared: str, texts: dict[str, str]) -> str:
        inline, file = self.values.get("context"), self.values.get("context_file")
        if inline is not None and file is not None:
            raise UserError(f"{self.where}: has context and context_file; give one of the two")
        if inline is not None:
            return self._text(self.values, "context")
        if file is None:
            return shared
        place = str(path.parent / Path(str(file)).expanduser())
        if place not in texts:
            texts[place] = read_text(f"{self.where}: context_file", place)
        return texts[place]

    def _text(self, values: dict[str, Any], name: str) -> str:
        text = values.get(name)
        if not isinstance(text, str) or not text.strip():
            raise UserError(f"{self.where}: {name} {text!r} is not a text; give one")
        return text

    def _answers(self, values: dict[str, Any]) -> tuple[str, ...]:
        given = values.get("answer")
        answers = given if isinstance(given, list) else [given]
        if not answers or not all(_is_answer(each) for each in answers):
            raise UserError(
                f"{self.where}: answer {given!r} is not a text or a list of texts; give the right one"
            )
        return tuple(str(each) for each in answers)

    def _choices(self, values: dict[str, Any]) -> tuple[str, ...]:
        choices = values.get("choices", [])
        if not isinstance(choices, list) or not all(isinstance(each, str) for each in choices):
            raise UserError(f"{self.where}: choices {choices!r} is not a list of texts; give one")
        return tuple(choices)

    def _check(self, question: Question) -> None:
        metrics = get_args(OwnMetric)
        if question.metric not in metrics:
            raise UserError(
                f"{self.where}: metric {question.metric!r} is not known; known: {', '.join(metrics)}"
            )
        if question.metric == "multiple_choice":
            known = {*LETTERS[: len(question.choices)], *question.choices}
            if not 2 <= len(question.choices) <= len(LETTERS) or not set(question.answers) <= known:
                raise UserError(
                    f"{self.where}: answer {question.answers[0]!r} is none of choices; give 2 to {len(LETTERS)} "
                    f"choices and the right one's letter or text"
                )
        if question.metric == "number" and not all(_is_whole(each) for each in question.answers):
            raise UserError(f"{self.where}: answer {question.answers[0]!r} is not a whole number; give one")
        if question.metric == "regex":
            for pattern in question.answers:
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise UserError(
                        f"{self.where}: answer {pattern!r} is no regular expression ({error}); correct it"
                    ) from error


def _parse(where: str, line: str) -> _Row:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: is not JSON ({one_line(error)}); give one object a line") from error
    if not isinstance(values, dict):
        raise UserError(f"{where}: is not an object; give {{question, answer}}")
    if unknown := sorted(set(values) - KNOWN):
        raise UserError(f"{where}: {unknown[0]} is not known; known: {', '.join(sorted(KNOWN))}")
    return _Row(where, values)


def _check_names(questions: Sequence[Question]) -> None:
    names: set[str] = set()
    for question in questions:
        if question.name in names:
            raise UserError(f"{FIELD}: id {question.name!r} stands there twice; give each row its own")
        names.add(question.name)


def _is_answer(value: Any) -> bool:
    return (
        bool(value.strip())
        if isinstance(value, str)
        else isinstance(value, int) and not isinstance(value, bool)
    )


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"[-−]?\d+", text.strip()) is not None
