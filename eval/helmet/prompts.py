"""The prompts of HELMET's tasks: what the user says around the context, and how the reply begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eval.helmet.definitions import Definition, Kind
from eval.helmet.rows import field_of

QUESTION = (
    "Use the given documents to write a concise and short answer to the question. Write your answer in the following "
    "format:\nAnswer: [answer]\n\n"
)
RANK = (
    "You are provided with a list of documents, each indicated by their ID. Rank each document based on their "
    "relevance to the question in descending order from most relelvant to least relevant texts. Include all documents "
    "in the rankings. Write your answer using the unique IDs, with the following format:\nRanking: ID3 > ID1 > ID2\n\n"
)
EXTRACT = "\n\nExtract the value corresponding to the specified key in the JSON object below.\n\n"


@dataclass(frozen=True, slots=True)
class Parts:
    """A prompt in parts. Only the context is cut where the prompt is too long."""

    before: str
    context: str
    after: str
    start: str
    """Of the reply."""
    references: list[str]
    facts: dict[str, Any]


def prompt_parts(task: Definition, row: dict[str, Any], demos: Sequence[dict[str, Any]]) -> Parts:
    """The prompt of a row.

    Args:
        task: The task.
        row: From its file.
        demos: Examples, for the tasks that have a file of them.

    Raises:
        UserError: The row lacks a field.
    """
    return _PARTS[task.kind](task, row, demos)


def _needle(task: Definition, row: dict[str, Any], demos: Sequence[dict[str, Any]]) -> Parts:
    values, query = field_of(row, "type_needle_v"), field_of(row, "query")
    if task.name == "ruler_niah_mv":
        opening, what = f"Some special magic {values} are hidden", f"What are all the special magic {values}"
        start = f"The special magic {values} for {query} mentioned in the provided text are"
    else:
        opening, what = f"A special magic {values} is hidden", f"What is the special magic {values}"
        start = f"The special magic {values} for {query} mentioned in the provided text is"
    return Parts(
        before=f"{opening} within the following text. Make sure to memorize it. I will quiz you about the {values} "
        f"afterwards.\n",
        context=field_of(row, "context"),
        after=f"\n{what} for {query} mentioned in the provided text?",
        start=start,
        references=_texts(field_of(row, "answer", "outputs")),
        facts={"question": query},
    )


def _value(task: Definition, row: dict[str, Any], demos: Sequence[dict[str, Any]]) -> Parts:
    start, key = "Corresponding value:", field_of(row, "question")
    examples = [f"Key: {name}\n{start} {value}" for name, value in field_of(row, "demos")[:2]]
    return Parts(
        before="",
        context=field_of(row, "context"),
        after=EXTRACT + "".join(f"{example}\n\n" for example in examples) + f"Key: {key}",
        start=start,
        references=_texts(field_of(row, "answer")),
        facts={"question": key},
    )


def _documents(task: Definition, row: dict[str, Any], demos: Sequence[dict[str, Any]]) -> Parts:
    examples = [
        f"{_passages(demo)}\n\nQuestion: {field_of(demo, 'question')}\nAnswer: {field_of(demo, 'answers')[0]}\n\n"
        for demo in demos
    ]
    question = field_of(row, "question")
    return Parts(
        before=QUESTION + "".join(examples),
        context=_passages(row),
        after=f"\n\nQuestion: {question}",
        start="Answer:",
        references=_texts(field_of(row, "answers")),
        facts={"question": question},
    )


def _ranking(task: Definition, row: dict[str, Any], demos: Sequence[dict[str, Any]]) -> Parts:
    # The form of the row's passages is that of the examples', too.
    has_titles = "title" in field_of(row, "ctxs")[0]
    examples = [
        f"{_ranked(demo, has_titles)}\n\nQuery: {field_of(demo, 'query')}\nRanking: {_gold(demo)}\n\n"
        for demo in demos
    ]
    question = field_of(row, "query")
    return Parts(
        before=RANK + "".join(examples),
        context=_ranked(row, has_titles),
        after=f"\n\nQuery: {question}",
        start="Ranking:",
        references=[_gold(row)],
        facts={
            "question": question,
            "relevance": {str(each["id"]): int(each["label"]) for each in row["ctxs"]},
        },
    )


def _passages(row: dict[str, Any]) -> str:
    return "\n\n".join(f"Document (Title: {each['title']}): {each['text']}" for each in field_of(row, "ctxs"))


def _ranked(row: dict[str, Any], has_titles: bool) -> str:
    titles = [f" (Title: {each['title']})" if has_titles else "" for each in field_of(row, "ctxs")]
    return "\n\n".join(
        f"[ID: {each['id']}] Document{title}: {each['text']}"
        for title, each in zip(titles, row["ctxs"], strict=True)
    )


def _gold(row: dict[str, Any]) -> str:
    passages = sorted(field_of(row, "ctxs"), key=lambda each: each["label"], reverse=True)
    return " > ".join(str(each["id"]) for each in passages)


def _texts(answer: Any) -> list[str]:
    """One answer, or several, or several lists of them."""
    if isinstance(answer, list):
        return [text for each in answer for text in _texts(each)]
    return [str(answer)]


_PARTS = {
    Kind.NEEDLE: _needle,
    Kind.VALUE: _value,
    Kind.DOCUMENTS: _documents,
    Kind.RANKING: _ranking,
}
