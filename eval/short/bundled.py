"""The bundled tasks, which need no download: the functions that lm-eval's task files in data/ refer to.

All are answered in writing, so that any endpoint will do; none compares log probabilities.
"""

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

from eval.recall.facts import first_mention, normalize
from eval.short.instructions import holds

TASKS = ("longstrap_instructions", "longstrap_arithmetic", "longstrap_facts", "longstrap_reading")
DATA = Path(str(resources.files("eval.short").joinpath("data")))
LETTERS = "ABCD"

_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*")
_CHOSEN = re.compile(
    rf"^\W*(?:the\s+)?(?:correct\s+)?(?:answer|option)?\s*(?:is)?\W*([{LETTERS}])\b(?!\s+[a-z])",
    re.IGNORECASE,
)

Document = dict[str, Any]


def load(name: str, **_metadata: Any) -> Any:
    """The questions as lm-eval's `custom_dataset` wants them."""
    from datasets import Dataset, DatasetDict

    lines = (DATA / f"{name}.jsonl").read_text("utf-8").splitlines()
    return DatasetDict({"test": Dataset.from_list([json.loads(line) for line in lines])})


def score_instructions(document: Document, results: list[str]) -> dict[str, float]:
    """`acc`: all instructions of the question are followed; `instruction_acc`: the share of them."""
    followed = [holds(check, _spoken(results)) for check in document["checks"]]
    return {"acc": float(all(followed)), "instruction_acc": sum(followed) / len(followed)}


def score_arithmetic(document: Document, results: list[str]) -> dict[str, float]:
    """The last number of the reply counts, as many repeat the question or reckon in writing."""
    numbers = _NUMBER.findall(_spoken(results))
    return {"acc": float(bool(numbers) and numbers[-1].replace(",", "") == document["answer"])}


def score_facts(document: Document, results: list[str]) -> dict[str, float]:
    """A letter that the reply begins with, or else the one choice that it names."""
    reply = _spoken(results)
    if (chosen := _CHOSEN.match(reply)) is not None:
        letter = chosen[1].upper()
    else:
        text = normalize(reply)
        named = [
            letter
            for letter, choice in zip(LETTERS, document["choices"], strict=True)
            if first_mention(text, [choice]) is not None
        ]
        letter = named[0] if len(named) == 1 else ""
    return {"acc": float(letter == document["answer"])}


def score_reading(document: Document, results: list[str]) -> dict[str, float]:
    """The reply's first line names the answer."""
    line = next((line for line in _spoken(results).splitlines() if line.strip()), "")
    return {"acc": float(first_mention(normalize(line), [document["answer"]]) is not None)}


def _spoken(results: list[str]) -> str:
    """The reply without what a reasoning model thinks aloud."""
    return results[0].rpartition("</think>")[2].strip()
