"""Scores of HELMET's tasks, in [0, 1]."""

import math
import re
import string
from collections.abc import Mapping, Sequence

from eval.helmet.definitions import Definition, Kind

NUM_RANKED = 10
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_RANKING = re.compile(r"\d+(?:\s*>\s*\d+)*")


def score_reply(
    task: Definition, reply: str, references: Sequence[str], relevance: Mapping[str, int] | None = None
) -> float:
    """Score of a reply.

    Args:
        task: The task.
        reply: What the model said, with the start that the task gives, if the model was given it.
        references: Right answers.
        relevance: Of the documents by id, where they are to be ranked.
    """
    if task.kind is Kind.RANKING:
        assert relevance is not None
        return ndcg(ranked_ids(reply), relevance)
    if task.kind is Kind.NEEDLE:
        return sum(each.lower() in reply.lower() for each in references) / len(references)
    start = "corresponding value:" if task.kind is Kind.VALUE else "Answer:"
    said = [_normal(reply), _normal(_answer(reply, start))]
    return float(any(_normal(each) in text for each in references for text in said))


def ranked_ids(reply: str) -> list[str]:
    """Ids in the longest part of a reply that is a ranking such as "ID3 > ID1", each once; else the whole reply."""
    text = re.sub(r"[\[\]:]", "", reply).lower().replace("id", "")
    found = max(_RANKING.findall(text), key=len, default="")
    if not found:
        return [text]
    return list(dict.fromkeys(each.strip() for each in found.split(">")))


def ndcg(ids: Sequence[str], relevance: Mapping[str, int]) -> float:
    """NDCG@10 as trec_eval has it: the relevance itself is the gain, and the logarithm of the rank discounts it.

    Args:
        ids: Of documents, the best first.
        relevance: Of all documents by id; 0 or less is none.
    """
    best = _gain(sorted(relevance.values(), reverse=True))
    return _gain([relevance.get(each, 0) for each in ids]) / best if best else 0.0


def _gain(values: Sequence[int]) -> float:
    return sum(max(value, 0) / math.log2(rank + 1) for rank, value in enumerate(values[:NUM_RANKED], 1))


def _answer(reply: str, start: str) -> str:
    """The rest of the line behind a start, else the first line."""
    found = re.search(rf"{start}(.*)(?:\n|$)", reply, re.IGNORECASE) or re.search(r"^(.*)(?:\n|$)", reply)
    assert found is not None
    return re.sub(f"^{start}", "", found[1].strip(), flags=re.IGNORECASE).strip()


def _normal(text: str) -> str:
    """Without case, punctuation, articles and more than one blank (SQuAD)."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())
