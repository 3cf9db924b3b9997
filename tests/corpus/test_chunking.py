import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.corpus.chunking import UnsplittableError, split_document, split_text
from app.faults import UserError
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


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(text=any_text, max_tokens=st.integers(8, 60))
def test_any_text_is_tiled_within_the_limit(tokenizer, text, max_tokens):
    assert_tiles(text, tokenizer, max_tokens)


@settings(max_examples=200, deadline=None)
@given(text=any_text, max_tokens=st.integers(8, 60))
def test_so_it_is_where_a_text_by_itself_has_other_tokens(prefixing_tokenizer, text, max_tokens):
    assert_tiles(text, prefixing_tokenizer, max_tokens)


def test_passages_that_turn_out_too_long_by_themselves_are_cut_shorter(prefixing_tokenizer):
    # Each passage has a token of its own in front, so that the limit as counted in the document is one too far.
    assert_tiles("东京" * 200, prefixing_tokenizer, 8)
    assert_tiles("watch " * 200, prefixing_tokenizer, 8)


@pytest.mark.slow
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
    assert seconds(480_000) < 16 * max(seconds(60_000), 0.05)


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


def test_a_scrap_before_a_monster_sentence_is_filled_up_from_it(tokenizer):
    monster = "Watch by turns night " + "watch by turns night " * 40
    assert len(pieces(f"See here. {monster}", tokenizer, 60)[0]) > len("See here. ")


def test_a_short_sentence_before_one_that_fits_is_left_alone(tokenizer):
    long = "Watch by turns night " + "watch by turns night " * 8 + "end. "
    limit = tokenizer.count(long)
    assert pieces(f"Go. {long}Go. {long}", tokenizer, limit) == ["Go. ", long, "Go. ", long]


def test_characters_are_not_torn_from_their_marks(tokenizer):
    text = "e\u0301\u0323" * 200
    assert all(piece.startswith("e") for piece in pieces(text, tokenizer, 16))


def test_the_documents_tokens_are_those_of_its_text(tokenizer):
    short, long = "The wind. " * 9_999, "The wind blew. " * 30_000
    assert split_text(short, tokenizer, 64).num_tokens == tokenizer.count(short)
    assert abs(split_text(long, tokenizer, 64).num_tokens - tokenizer.count(long)) <= 5 * 2


def test_a_long_text_is_never_tokenized_whole(tokenizer):
    class Recording:
        longest_chars = 0

        def count(self, text):
            self.longest_chars = max(self.longest_chars, len(text))
            return tokenizer.count(text)

        def offsets(self, text):
            self.longest_chars = max(self.longest_chars, len(text))
            return tokenizer.offsets(text)

    recording = Recording()
    split_text("The wind blew. " * 30_000, recording, 64)
    assert recording.longest_chars <= 100_000


def test_a_limit_that_no_passage_can_keep_is_refused(tokenizer):
    with pytest.raises(UserError, match=r"corpus\.passage_tokens: 7 is too few; at least 8"):
        split_text("text", tokenizer, 7)

    class Expanding:
        """Takes nine tokens for one character, as a normalizer may."""

        def count(self, text):
            return 9 * len(text)

        def offsets(self, text):
            return [(index, index + 1) for index in range(len(text)) for _ in range(9)]

    with pytest.raises(UnsplittableError, match="'t' takes 9 tokens, above 8"):
        split_text("text", Expanding(), 8)
