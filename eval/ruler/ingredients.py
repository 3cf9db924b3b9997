"""The texts and words that tasks are made of, from the user's folder or from the cache."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from app.config import RulerConfig, cache_dir
from app.faults import UserError
from eval.haystack import read_text
from eval.ruler.definitions import TASKS, CommonWords, Needles, QuestionAnswering, Task

ESSAYS = "PaulGrahamEssays.json"
SQUAD = "squad.json"
HOTPOTQA = "hotpotqa.json"
ADJECTIVES = "adjectivelist.txt"
NOUNS = "nounlist.txt"
VERBS = "verblist.txt"
DICTIONARY = "english_words.json"
_CACHE_FOLDERS = ("ruler", "ruler_words")


@dataclass(frozen=True, slots=True)
class Question:
    """One question and where it is answered."""

    text: str
    answers: list[str]
    evidence: list[int]
    """Documents that must be there."""
    related: list[int]
    """Documents that come in first: of the same article, or found with the evidence by the data set's makers."""
    together: list[int]
    """What the reference takes for evidence: with HotpotQA all that the data set gives, in its order."""


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions of a data set, and all its documents."""

    questions: list[Question]
    documents: list[str]


class Ingredients:
    """What tasks are made of; read when it is first asked for.

    Each file is the one in `ruler.data` where that folder has it, else the one that
    `python -m app.models.bundled ruler` has put into the cache.

    Args:
        config: Names the folder, and the haystack that stands for the essays.

    Raises:
        UserError: `ruler.data` is no folder.
    """

    def __init__(self, config: RulerConfig) -> None:
        self._haystack = config.haystack
        self._folders = [cache_dir() / name for name in _CACHE_FOLDERS]
        if config.data is not None:
            folder = Path(config.data).expanduser()
            if not folder.is_dir():
                raise UserError(
                    f"ruler.data: {config.data!r} is not a folder; give one with {SQUAD}, {HOTPOTQA}, ..."
                )
            self._folders.insert(0, folder)

    def check(self, tasks: Iterable[str]) -> None:
        """Make sure that all is there that the tasks are made of.

        Raises:
            UserError: It is not.
        """
        for task in tasks:
            for name in self._files_of(TASKS[task]):
                if self._find(name) is None:
                    raise UserError(
                        f"ruler.tasks: {task} needs {name}, which is neither in ruler.data nor in "
                        f"{cache_dir()}; run `python -m app.models.bundled ruler`, or name other tasks"
                    )

    def digests(self) -> dict[str, str | None]:
        """What the tasks are made of, by hash: file → SHA-256, None where it is missing."""
        found = {name: self._find(name) for name in (SQUAD, HOTPOTQA, ADJECTIVES, NOUNS, VERBS, DICTIONARY)}
        digests = {name: _digest(path.read_bytes()) if path else None for name, path in found.items()}
        has_essays = self._haystack is not None or self._find(ESSAYS) is not None
        return digests | {"essays": _digest(self.essays.encode()) if has_essays else None}

    @cached_property
    def essays(self) -> str:
        """The essays, or the user's own haystack."""
        if self._haystack is not None:
            return read_text("ruler.haystack", self._haystack)
        return str(self._json(ESSAYS)["text"])

    @cached_property
    def adjectives(self) -> list[str]:
        return _distinct(self._lines(ADJECTIVES))

    @cached_property
    def nouns(self) -> list[str]:
        return _distinct(self._lines(NOUNS))

    @cached_property
    def list_words(self) -> list[str]:
        """Nouns, adjectives and verbs, for lists of words."""
        return sorted({*self.nouns, *self.adjectives, *self._lines(VERBS)})

    @cached_property
    def dictionary(self) -> list[str]:
        """Words for longer lists: 370,101 of them."""
        return list(self._json(DICTIONARY).values())

    @cached_property
    def squad(self) -> QuestionSet:
        """Questions of SQuAD 2.0 that have an answer, in the file's order; documents are its paragraphs."""
        articles = self._json(SQUAD)["data"]
        documents = sorted({part["context"] for article in articles for part in article["paragraphs"]})
        index_of = {document: index for index, document in enumerate(documents)}
        questions = []
        for article in articles:
            own = [index_of[part["context"]] for part in article["paragraphs"]]
            for part, index in zip(article["paragraphs"], own, strict=True):
                related = [other for other in own if other != index]
                questions += [
                    Question(
                        asked["question"],
                        [answer["text"] for answer in asked["answers"]],
                        [index],
                        related,
                        [index],
                    )
                    for asked in part["qas"]
                    if not asked["is_impossible"]
                ]
        return QuestionSet(questions, documents)

    @cached_property
    def hotpotqa(self) -> QuestionSet:
        """Questions of HotpotQA in the file's order; documents are the paragraphs under their titles.

        Each question has two paragraphs that answer it and up to eight that distract. The reference takes all ten for
        its evidence, and so cannot make samples that are too short for them; here the eight come in next.
        """
        rows = self._json(HOTPOTQA)
        texts = [
            {title: f"{title}\n{''.join(sentences)}" for title, sentences in row["context"]} for row in rows
        ]
        documents = sorted({text for by_title in texts for text in by_title.values()})
        index_of = {document: index for index, document in enumerate(documents)}
        questions = []
        for row, by_title in zip(rows, texts, strict=True):
            supporting = {title for title, _ in row["supporting_facts"]}
            evidence = [index_of[text] for title, text in by_title.items() if title in supporting]
            others = [index_of[text] for title, text in by_title.items() if title not in supporting]
            together = [index_of[text] for text in by_title.values()]
            questions.append(Question(row["question"], [row["answer"]], evidence, others, together))
        return QuestionSet(questions, documents)

    def _files_of(self, task: Task) -> tuple[str, ...]:
        match task.family:
            case Needles(haystack="essays") if self._haystack is None:
                return (ESSAYS, ADJECTIVES, NOUNS)
            case Needles():
                return (ADJECTIVES, NOUNS)
            case CommonWords():
                return (ADJECTIVES, NOUNS, VERBS, DICTIONARY)
            case QuestionAnswering(data=data):
                return (SQUAD,) if data == "squad" else (HOTPOTQA,)
        return ()

    def _find(self, name: str) -> Path | None:
        return next((folder / name for folder in self._folders if (folder / name).is_file()), None)

    def _read(self, name: str) -> str:
        path = self._find(name)
        assert path is not None, f"{name} was not checked for"
        return path.read_text("utf-8")

    def _json(self, name: str) -> Any:
        return json.loads(self._read(name))

    def _lines(self, name: str) -> list[str]:
        # Some of the words end in a blank.
        return [line.rstrip() for line in self._read(name).splitlines()]


def _distinct(words: list[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
