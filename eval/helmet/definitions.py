"""The tasks of HELMET whose data are in its own files: three of its seven categories."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

LENGTHS_TOKENS = (8192, 16384, 32768, 65536, 131072)
NUM_PUBLISHED_SAMPLES = 100


class Kind(Enum):
    """How rows of a task are made into a prompt, and scored."""

    NEEDLE = "needle"
    """RULER's: a row holds the whole haystack, and the share of the answers that a reply holds counts."""
    VALUE = "value"
    """The value of a key in a JSON object."""
    DOCUMENTS = "documents"
    """A question about retrieved documents."""
    RANKING = "ranking"
    """Documents to be ranked."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One task."""

    name: str
    category: str
    kind: Kind
    file: Callable[[int], str]
    """The file of a length, in HELMET's `data`."""
    max_output_tokens: int
    demos: str = ""
    """The file that examples are drawn from."""
    num_rows_each: int = 1
    """Rows of a question: the same one with its evidence at other places. All of them are asked."""
    max_popularity: float | None = None
    """Logarithm of the most views that a question's subject has."""


def _by_documents(template: str, counts: tuple[int, ...]) -> Callable[[int], str]:
    return lambda length: template.format(counts[LENGTHS_TOKENS.index(length)])


_KILT = (50, 105, 220, 440, 1000)
_ALL = (
    Definition(
        "ruler_niah_mk_2", "Recall", Kind.NEEDLE, "ruler/niah_multikey_2/validation_{}.jsonl".format, 50
    ),
    Definition(
        "ruler_niah_mk_3", "Recall", Kind.NEEDLE, "ruler/niah_multikey_3/validation_{}.jsonl".format, 100
    ),
    Definition(
        "ruler_niah_mv", "Recall", Kind.NEEDLE, "ruler/niah_multivalue/validation_{}.jsonl".format, 50
    ),
    Definition(
        "json_kv",
        "Recall",
        Kind.VALUE,
        _by_documents("json_kv/test_k{}_dep6.jsonl", (105, 220, 440, 900, 1800)),
        100,
    ),
    *(
        Definition(
            f"kilt_{name}",
            "RAG",
            Kind.DOCUMENTS,
            _by_documents(f"kilt/{test}_1000_k{{}}_dep{depths}.jsonl", _KILT),
            20,
            demos=f"kilt/{train}_1000_k3_dep{depths}.jsonl",
            num_rows_each=depths,
            max_popularity=3.0 if name == "popqa" else None,
        )
        for name, test, train, depths in (
            ("nq", "nq-dev-multikilt", "nq-train-multikilt", 6),
            ("triviaqa", "triviaqa-dev-multikilt", "triviaqa-train-multikilt", 6),
            ("hotpotqa", "hotpotqa-dev-multikilt", "hotpotqa-train-multikilt", 3),
            ("popqa", "popqa_test", "popqa_test", 6),
        )
    ),
    Definition(
        "msmarco_rerank_psg",
        "Re-rank",
        Kind.RANKING,
        _by_documents("msmarco/test_reranking_data_k{}_dep3.jsonl", (50, 130, 285, 600, 1000)),
        200,
        demos="msmarco/test_reranking_data_k10_dep3.jsonl",
        num_rows_each=3,
    ),
)
TASKS = {definition.name: definition for definition in _ALL}
CATEGORIES = tuple(dict.fromkeys(definition.category for definition in _ALL))
