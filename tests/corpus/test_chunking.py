import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.corpus.chunking import UnsplittableError, split_document, split_text
from app.schema import Document, hash_text


def document(text):
    return Document(document_id=hash_text(text), text=text, title="", source="test", line=1)


def pieces(text, tokenizer, max_tokens):
    return [text[span.start_char : span.end_char] for span in split_text(text, tokenizer, max_tokens).spans]


def assert_tiles(text, tokenizer, max_tokens):
    passages = split_document(document(text), tokenizer, max_tokens)
    assert "".join(passage.text for passage in passages) == text
    position = 0
    for index, passage in enumerate(passages):
        assert passage.start_char == position < passage.end_char
        assert passage.text == text[passage.start_char : passage.end_char]
        assert passage.num_tokens == tokenizer.count(passage.text) <= max_tokens
        assert passage.passage_id == f"{hash_text(text)}:{index:05d}"
        position = passage.end_char
    assert position == len(text)


awkward = st.sampled_from(
    ["👩‍👩‍👧‍👦", "🇩🇪", "é", "e\u0301\u0323", "東京", "ได้", "\x00", "\x1b", "\r\n", "\n\n", " " * 30]
)
awkward |= st.sampled_from(["\u2029", "。", ". A", "x" * 50])
any_text = st.lists(st.text(max_size=40) | awkward, max_size=30).map("".join)


@settings(max_examples=300, deadline=None)
@given(text=any_text, max_tokens=st.integers(8, 60))
def test_any_text_is_tiled_within_the_limit(tokenizer, text, max_tokens):
    assert_tiles(text, tokenizer, max_tokens)


def test_long_texts_are_tiled_across_windows(tokenizer):
    sentence = "The ship sailed north before the wind. "
    assert_tiles(sentence * 4_000, tokenizer, 64)
    assert_tiles("東" * 150_000, tokenizer, 64)
    assert_tiles(" \n" * 120_000 + "end", tokenizer, 64)


@pytest.mark.parametrize("unit", ["word ", "x", "\n", "A b. ", "'\"", "東"])
def test_time_is_linear_in_the_text(tokenizer, unit):
    def seconds(num_chars):
        text = (unit * num_chars)[:num_chars]
        started = time.process_time()
        split_text(text, tokenizer, 256)
        return time.process_time() - started

    seconds(10_000)
    assert seconds(800_000) < 16 * max(seconds(100_000), 0.05)


def test_passages_end_where_sentences_end(tokenizer):
    text = (
        "Dr. Lee paid 3.14 dollars for No. 5, i.e. the last one. Then J. R. Smith (the U.S. envoy) left! "
        "“Why?” he asked. She wrote: one… and two. In 1826. The end came. "
    )
    ends = {"one. ", "left! ", "asked. ", "two. ", "1826. ", "came. "}
    limit = max(tokenizer.count(part) for part in pieces_of_sentences(text, ends)) + 1
    for piece in pieces(text, tokenizer, limit):
        assert piece.endswith(tuple(ends)), piece


def pieces_of_sentences(text, ends):
    found, start = [], 0
    for position in range(1, len(text) + 1):
        if text[start:position].endswith(tuple(ends)):
            found.append(text[start:position])
            start = position
    return found


@pytest.mark.parametrize(
    ("text", "border"),
    [
        ("他来了。他走了。", "他来了。"),
        ("هل أنت هنا؟ نعم أنا هنا.", "هل أنت هنا؟ "),
        ("वह आया। वह गया।", "वह आया। "),
        ("Stop… Now go on.", "Stop… "),
        ('"Go!" She went.', '"Go!" '),
    ],
)
def test_sentence_ends_of_other_scripts(tokenizer, text, border):
    parts = [text[: len(border)], text[len(border) :]]
    limit = max(8, *(tokenizer.count(part) for part in parts))
    assert pieces(text, tokenizer, limit) == parts


def test_paragraphs_come_before_sentences(tokenizer):
    first, second = "One is here. Two is here.\n\n", "Three is here. Four is here. Five is here."
    limit = tokenizer.count(first + "Three is here. ")
    assert pieces(first + second, tokenizer, limit)[0] == first


def test_a_monster_sentence_is_cut_at_clauses_and_words(tokenizer):
    clauses = "the crew kept watch by turns, " * 30
    assert all(piece.endswith(", ") for piece in pieces(clauses, tokenizer, 40))
    words = "watch turns night " * 60
    assert all(piece.endswith(" ") for piece in pieces(words, tokenizer, 40))
    lines = "| a | b | c | d |\n" * 40
    assert all(piece.endswith("\n") for piece in pieces(lines, tokenizer, 60))


def test_characters_are_not_torn_from_their_marks(tokenizer):
    text = "e\u0301\u0323" * 200
    assert all(piece.startswith("e") for piece in pieces(text, tokenizer, 16))


def test_the_documents_tokens_are_those_of_its_text(tokenizer):
    for text in ("The wind. " * 100, "The wind. " * 30_000):
        assert split_text(text, tokenizer, 64).num_tokens == tokenizer.count(text)


def test_a_limit_that_no_passage_can_keep_is_refused(tokenizer):
    with pytest.raises(ValueError, match=r"corpus\.passage_tokens: 7 is too few; at least 8"):
        split_text("text", tokenizer, 7)

    class Expanding:
        """Takes nine tokens for one character, as a normalizer may."""

        def count(self, text):
            return 9 * len(text)

        def offsets(self, text):
            return [(index, index + 1) for index in range(len(text)) for _ in range(9)]

    with pytest.raises(UnsplittableError, match="'t' takes 9 tokens, above 8"):
        split_text("text", Expanding(), 8)
