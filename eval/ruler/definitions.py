"""The 13 tasks as data: texts, sizes and metrics of NVIDIA/RULER at c3f5e3b (scripts/synthetic.yaml, constants.py)."""

from dataclasses import dataclass
from typing import Literal

NOISE_LINE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
NEEDLE = "One of the special magic {type} for {key} is: {value}."


@dataclass(frozen=True, slots=True)
class Needles:
    """Facts with keys in a haystack; some of the keys are asked for."""

    haystack: Literal["noise", "essays", "needles"]
    keys: Literal["words", "uuids"] = "words"
    values: Literal["numbers", "uuids"] = "numbers"
    num_keys: int = 1
    num_values: int = 1
    """Values of each key."""
    num_queries: int = 1
    """Number of keys that the question asks for."""


@dataclass(frozen=True, slots=True)
class VariableTracking:
    """A value is passed from variable to variable; the question asks for all that hold it. A small example comes
    first.
    """

    num_hops: int = 4
    num_name_letters: int = 5
    num_example_letters: int = 3
    example_tokens: int = 500
    """Length of the example, filled up with haystack."""
    min_lines: int = 5


@dataclass(frozen=True, slots=True)
class WordCounts:
    """How often the words of a numbered list occur in it."""

    num_common_repeats: int
    num_other_repeats: int
    num_example_words: int
    num_example_common_repeats: int
    num_example_other_repeats: int


@dataclass(frozen=True, slots=True)
class CommonWords:
    """Words that occur more often in a list than the others. A small example comes first."""

    num_common: int = 10
    counts: WordCounts = WordCounts(30, 3, 40, 10, 3)
    short_counts: WordCounts = WordCounts(6, 1, 20, 3, 1)
    short_below_tokens: int = 4096
    """Lengths below this use the short counts."""


@dataclass(frozen=True, slots=True)
class FrequentWords:
    """Made-up words whose frequencies fall by a power of their rank; the first rank is dots."""

    alpha: float = 2.0
    num_letters: int = 6
    num_asked: int = 3
    """Number of words that the question asks for: the most frequent ones after the dots."""
    tokens_per_word: int = 50
    """The vocabulary is the length, without the answer's tokens, divided by it."""
    dots: str = "..."


@dataclass(frozen=True, slots=True)
class QuestionAnswering:
    """A question, and the documents that answer it among many that do not."""

    data: Literal["squad", "hotpotqa"]
    document: str = "Document {number}:\n{document}"


Family = Needles | VariableTracking | CommonWords | FrequentWords | QuestionAnswering


@dataclass(frozen=True, slots=True)
class Task:
    """One of the 13."""

    name: str
    family: Family
    template: str
    """With {context}; what the user says."""
    answer_prefix: str
    """Behind it: what the reply begins with."""
    max_output_tokens: int
    metric: Literal["all", "part"]
    """Share of the references that an answer holds, or whether it holds one of them."""


_ONE_VALUE = (
    "A special magic {type} is hidden within the following text. Make sure to memorize it. I will quiz you about the "
    "{type} afterwards.\n{context}\nWhat is the special magic {type} for {query} mentioned in the provided text?",
    " The special magic {type} for {query} mentioned in the provided text is",
)
_MANY_VALUES = (
    "Some special magic {type} are hidden within the following text. Make sure to memorize it. I will quiz you about "
    "the {type} afterwards.\n{context}\nWhat are all the special magic {type} for {query} mentioned in the provided "
    "text?",
    " The special magic {type} for {query} mentioned in the provided text are",
)
_VARIABLES = (
    "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n{context}\nQuestion: Find "
    "all variables that are assigned the value {query} in the text above.",
    " Answer: According to the chain(s) of variable assignment in the text above, {num_variables} variables are "
    "assigned the value {query}, they are: ",
)
_COMMON_WORDS = (
    "Below is a numbered list of words. In these words, some appear more often than others. Memorize the ones that "
    "appear most often.\n{context}\nQuestion: What are the 10 most common words in the above list?",
    " Answer: The top 10 words that appear most often in the list are:",
)
_FREQUENT_WORDS = (
    "Read the following coded text and track the frequency of each coded word. Find the three most frequently appeared "
    "coded words. {context}\nQuestion: Do not provide any explanation. Please ignore the dots '....'. What are the "
    "three most frequently appeared words in the above coded text?",
    " Answer: According to the coded text above, the three most frequently appeared words are:",
)
_INSTRUCTION = (
    "Answer the question based on the given documents. Only give me the answer and do not output any "
    "other words."
)
_QUESTION = (
    f"{_INSTRUCTION}\n\nThe following are given documents.\n\n{{context}}\n\n{_INSTRUCTION}\n\nQuestion: {{query}}",
    " Answer:",
)


def _needles(name: str, needles: Needles) -> Task:
    is_one = needles.num_queries * needles.num_values == 1
    return Task(name, needles, *(_ONE_VALUE if is_one else _MANY_VALUES), max_output_tokens=128, metric="all")


_TASKS = (
    _needles("niah_single_1", Needles("noise")),
    _needles("niah_single_2", Needles("essays")),
    _needles("niah_single_3", Needles("essays", values="uuids")),
    _needles("niah_multikey_1", Needles("essays", num_keys=4)),
    _needles("niah_multikey_2", Needles("needles")),
    _needles("niah_multikey_3", Needles("needles", keys="uuids", values="uuids")),
    _needles("niah_multivalue", Needles("essays", num_values=4)),
    _needles("niah_multiquery", Needles("essays", num_keys=4, num_queries=4)),
    Task("vt", VariableTracking(), *_VARIABLES, max_output_tokens=30, metric="all"),
    Task("cwe", CommonWords(), *_COMMON_WORDS, max_output_tokens=120, metric="all"),
    Task("fwe", FrequentWords(), *_FREQUENT_WORDS, max_output_tokens=50, metric="all"),
    Task("qa_1", QuestionAnswering("squad"), *_QUESTION, max_output_tokens=32, metric="part"),
    Task("qa_2", QuestionAnswering("hotpotqa"), *_QUESTION, max_output_tokens=32, metric="part"),
)
TASKS = {task.name: task for task in _TASKS}
"""By name, in the order of RULER's tables."""
