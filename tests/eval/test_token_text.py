from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.haystack import RepeatedText
from eval.token_text import EDGE_TOKENS, join, tokenize
from tests.eval.prompt_tokenizers import TOKENIZERS

PIECES = [
    "The ship sailed north before the wind",
    " and the crew kept watch",
    "One of the special magic numbers for eager-harbor is: 4711471.",
    "\n",
    "\n\n",
    " ",
    "  ",
    "12",
    "34567890123456789",
    "é",
    "日本語の文。",
    "👩‍🚀🚀",
    "<|im_end|>",
    "<|im_start|>user\n",
    "a",
    "...",
    "\t",
    "x" * 90,
    "aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa",
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.\n" * 6,
]


@pytest.fixture(params=TOKENIZERS, scope="module")
def tokenizer(request, tmp_path_factory):
    return TOKENIZERS[request.param](tmp_path_factory.mktemp("tokenizer"))


def assert_is_whole(tokenizer, joined, text):
    whole = tokenize(tokenizer, text)
    assert joined.text == text
    assert joined.ids.tolist() == whole.ids.tolist()
    assert joined.ends.tolist() == whole.ends.tolist()


@settings(max_examples=100, deadline=None)
@given(parts=st.lists(st.sampled_from(PIECES), max_size=9))
def test_joined_parts_have_the_tokens_of_the_whole_text(tokenizer, parts):
    joined = join(tokenizer, [tokenize(tokenizer, part) for part in parts])
    assert_is_whole(tokenizer, joined, "".join(parts))


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=5))
def test_a_text_that_is_cut_anywhere_is_joined_again(tokenizer, text, cuts):
    # Control tokens and bytes that no tokenizer keeps are not what this is about.
    borders = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    parts = [text[start:stop] for start, stop in pairwise(borders)]
    joined = join(tokenizer, [tokenize(tokenizer, part) for part in parts])
    assert_is_whole(tokenizer, joined, text)


@settings(max_examples=60, deadline=None)
@given(places=st.lists(st.integers(0, 200), min_size=2, max_size=6))
def test_stretches_between_words_are_joined_again(tokenizer, places):
    haystack = RepeatedText(tokenize(tokenizer, PIECES[-1] + "One of them is: 12345, and é. " * 20))
    cuts = [haystack.words[min(place, len(haystack.words) - 1)] for place in places]
    parts = [haystack.tokens.cut(int(min(a, b)), int(max(a, b))) for a, b in pairwise(cuts)]
    # Alone, a stretch has its tokens as they are, with the blank before it.
    parts.insert(0, tokenize(tokenizer, "Text:"))
    joined = join(tokenizer, parts)
    assert_is_whole(tokenizer, joined, "".join(part.text for part in parts))


def test_many_short_parts_are_joined(tokenizer):
    parts = [f"{number}. word{number}\n" for number in range(200)]
    joined = join(tokenizer, [tokenize(tokenizer, part) for part in parts])
    assert_is_whole(tokenizer, joined, "".join(parts))


def test_nothing_is_nothing(tokenizer):
    assert len(join(tokenizer, [])) == 0
    assert len(join(tokenizer, [tokenize(tokenizer, "")] * 3)) == 0


class Counting:
    """A tokenizer that knows how much was asked of it."""

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer
        self.num_chars = 0

    def encode_with_offsets(self, text):
        self.num_chars += len(text)
        return self._tokenizer.encode_with_offsets(text)


def test_long_parts_are_not_tokenized_again(tokenizer):
    long = tokenize(tokenizer, PIECES[-1] * 40)
    counting = Counting(tokenizer)
    joined = join(counting, [long, tokenize(tokenizer, "The end. Or not?\n"), long])
    assert len(joined) > 2 * len(long)
    assert counting.num_chars < 40 * EDGE_TOKENS


def test_a_cut_has_its_own_text(tokenizer):
    whole = tokenize(tokenizer, "The ship sailed north before the wind")
    assert np.array_equal(whole.cut(0, len(whole)).ids, whole.ids)
    for place in range(len(whole) + 1):
        assert whole.cut(0, place).text + whole.cut(place, len(whole)).text == whole.text
