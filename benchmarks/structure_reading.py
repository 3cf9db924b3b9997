"""The answers of structure tasks, read out of the messages alone by a program that shares nothing with their makers.

It knows how the questions are worded and nothing of how they were made: it has no seed, no key, no template of a
statement and no passage. What it writes is compared with the key by `benchmarks.structure_tasks`.
"""

import re
from collections.abc import Sequence

from app.schema import Message, TaskData

Answer = str | int | list[int]
Chat = Sequence[Message]
_DOCUMENT = re.compile(r"\ADocument (\d+)(?:: ([^\n]*))?\n\n(.*)\Z", re.DOTALL)
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_VALUES = {
    "which code": r"[A-Z]{2}-\d+",
    "how many": r"\d+",
    "which day": rf"\d+ (?:{_MONTHS}) \d{{4}}",
    "which colo": r"(?:painted|wear) ([a-z]+)",
    "what time": r"\d\d:\d\d",
    "which village": r"village of ([A-Z]\w+ [A-Z]\w+)",
    "which town": r"town of ([A-Z]\w+ [A-Z]\w+)",
    "which hamlet": r"hamlet of ([A-Z]\w+ [A-Z]\w+)",
}
"""Part of a question → how what it asks for is written; a name otherwise."""
_SENTENCE_ENDS = re.compile(r"(?<=[.!?”\"’')\]])\s+|\n\s*\n|(?<=[:;])\s+(?=[A-Z])")
_NO_NAMES = "The|It|In|A|On|After|Each|When|Nobody|Visitors|Granite|Riders"


def is_confirmed(messages: Chat, task: TaskData) -> bool:
    """Whether the answers that are read out of the messages are the task's."""
    try:
        found = read_answers(messages)
    except ValueError:
        return False
    return found == (task.answer_key if task.checker == "turns" else [task.answer_key])


def read_answers(messages: Chat) -> list[Answer]:
    """The answer to each question of a chat, worked out from what the user says.

    Raises:
        ValueError: A question or a document is not worded as expected, or its answer is not unique.
    """
    first = messages[0]["content"]
    *blocks, question = first.split("\n\n---\n\n")
    written = _texts(blocks)
    texts = [" ".join(text.split()) for text in written]
    if question.startswith("These are the beginnings"):
        return [_order(texts, question)]
    if question.startswith("One passage was taken out"):
        return [_missing(texts, question)]
    if question.startswith("The passage that begins"):
        return [_repeats(texts, question)]
    if "“" in question and "word" in question:
        return [_word(texts, question)]
    asked = [question.rpartition("\n\n")[2], *(turn["content"] for turn in messages[2::2])]
    return [_recall(written, each) for each in asked]


def _texts(blocks: Sequence[str]) -> list[str]:
    """Texts of the documents, of which number 1 comes first."""
    texts = []
    for number, block in enumerate(blocks, 1):
        found = _DOCUMENT.match(block)
        if found is None or int(found[1]) != number:
            raise ValueError(f"no document {number}: {block[:80]!r}")
        texts.append(found[3])
    return texts


def _items(question: str) -> list[str]:
    """Items of the numbered list in a question."""
    return re.findall(r"^\d+\. (.*)$", question, re.MULTILINE)


def _order(texts: Sequence[str], question: str) -> Answer:
    whole = "\0".join(texts)
    places = []
    for item in _items(question):
        beginning = item.removesuffix(" …")
        if whole.count(beginning) != 1:
            raise ValueError(f"stands {whole.count(beginning)} times: {beginning!r}")
        places.append(whole.index(beginning))
    return [places.index(place) + 1 for place in sorted(places)]


def _missing(texts: Sequence[str], question: str) -> Answer:
    whole = "\0".join(texts)
    gone = [number for number, item in enumerate(_items(question), 1) if item not in whole]
    if len(gone) != 1 or whole.count("[A passage was removed here.]") != 1:
        raise ValueError(f"not one passage is missing: {gone}")
    return gone[0]


def _repeats(texts: Sequence[str], question: str) -> Answer:
    beginning = _only(re.findall(r"“(.*) …”", question), question)
    return [number for number, text in enumerate(texts, 1) if beginning in text]


def _word(texts: Sequence[str], question: str) -> Answer:
    word = _only(re.findall(r"“(\w+)”", question), question)
    counts = [len([each for each in re.split(r"\W+", text) if each == word]) for text in texts]
    holders = [number for number, count in enumerate(counts, 1) if count]
    if "how many of the documents" in question:
        return len(holders)
    if "How often" in question:
        return sum(counts)
    if "most often" in question:
        most = [number for number, count in enumerate(counts, 1) if count == max(counts)]
        if len(most) != 1:
            raise ValueError(f"as often in documents {most}")
        return most[0]
    return [holders[0], holders[-1]]


def _recall(texts: Sequence[str], question: str) -> Answer:
    """The value in the only sentence that has the question's rarest name."""
    names = re.findall(r"\b[A-Z][a-z]+\b", question[1:])
    sentences = [sentence for text in texts for sentence in _SENTENCE_ENDS.split(text)]
    held = [
        sentence
        for sentence in sentences
        if names and all(re.search(rf"\b{name}\b", sentence) for name in names)
    ]
    sentence = _only(held, question)
    pattern = next((each for part, each in _VALUES.items() if part in question.lower()), None)
    if pattern is None:
        pattern = rf"\b(?!(?:{_NO_NAMES})\b)[A-Z][a-z]+ [A-Z][a-z]+"
    found = re.findall(pattern, " ".join(sentence.split()))
    values: list[str] = [value for value in found if value not in names]
    return _only(values, sentence)


def _only(found: Sequence[str], where: str) -> str:
    if len(found) != 1:
        raise ValueError(f"not one but {len(found)} in {where[:200]!r}")
    return found[0]
