import numpy as np
import pytest

from app.faults import UserError
from app.retrieval.embedder import Embedder, Prefixes, check_embedding_tokens, resolve_prefixes
from tests.retrieval.fake_corpus import BagOfWords

E5 = Prefixes("query: ", "passage: ")
INSTRUCT = Prefixes(
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: ", ""
)


@pytest.mark.parametrize(
    ("model", "prefixes"),
    [
        ("intfloat/e5-base-v2", E5),
        ("intfloat/multilingual-e5-small", E5),
        ("bundled:multilingual-e5-small", E5),
        ("s3://bucket/models/e5-large/", E5),
        ("/models/e5_small", E5),
        ("intfloat/e5-mistral-7b-instruct", INSTRUCT),
        ("intfloat/multilingual-e5-large-instruct", INSTRUCT),
        ("/models/e5-folder/all-MiniLM-L6-v2", Prefixes("", "")),
        ("some/code5-model", Prefixes("", "")),
    ],
)
def test_prefixes_go_by_the_model(model, prefixes):
    assert resolve_prefixes(model, {}) == prefixes


def test_prefixes_of_other_models_are_their_own_prompts():
    assert resolve_prefixes("a/b", {"query": "Q: ", "document": "D: "}) == Prefixes("Q: ", "D: ")
    assert resolve_prefixes("a/b", {"document": "D: ", "passage": "P: "}) == Prefixes("", "P: ")


def test_prefixes_in_the_settings_win_even_when_empty():
    assert resolve_prefixes("intfloat/e5-base", {}, "ask: ", "") == Prefixes("ask: ", "")
    assert resolve_prefixes("intfloat/e5-base", {}, "", None) == Prefixes("", "passage: ")


def test_each_text_is_sent_with_its_prefix_and_comes_back_with_length_one():
    encoder = BagOfWords(["cat", "dog"])
    embedder = Embedder(encoder, E5, batch_size=7)
    passages = embedder.embed_passages(["cat", "dog dog"])
    queries = embedder.embed_queries(["cat", "dog"])
    # A query is encoded without company, so that its vector does not depend on it.
    assert encoder.calls == [("passage: ", 7, ["cat", "dog dog"]), ("query: ", 1, ["cat", "dog"])]
    assert passages.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm([*passages, *queries], axis=1), 1.0, rtol=1e-6)
    assert np.argmax(queries @ passages.T, axis=1).tolist() == [0, 1]


def test_a_vector_without_direction_is_not_passed_on():
    class Broken:
        def encode(self, inputs, *, prompt, batch_size, show_progress_bar):
            return np.full((len(inputs), 3), np.nan)

    with pytest.raises(AssertionError, match="without a direction"):
        Embedder(Broken(), E5, batch_size=1).embed_passages(["x"])


def test_more_tokens_than_the_model_reads_are_refused(settings):
    check_embedding_tokens(settings(embedding_tokens=512), 512)
    check_embedding_tokens(settings(embedding_tokens=512), None)
    with pytest.raises(UserError, match=r"^retrieval.embedding_tokens: 513 is more .* at most 512$"):
        check_embedding_tokens(settings(embedding_tokens=513), 512)


def reads_three_words(texts):
    return [len(text.split()) <= 3 for text in texts]


def test_a_text_that_the_model_does_not_read_to_its_end_is_embedded_in_pieces():
    encoder = BagOfWords(["cat", "dog", "cow"])
    embedder = Embedder(encoder, Prefixes("", ""), 4, reads_three_words)
    vectors = embedder.embed_passages(["cat", "cat cat cat dog cow", "cat cat cat cow dog", "cat cat cat"])
    assert encoder.calls[0][2] == ["cat", "cat cat", " cat dog cow", "cat cat", " cat cow dog", "cat cat cat"]
    assert embedder.num_in_pieces == 2
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-6)
    # Its end counts, as the beginning alone is the last text's.
    assert vectors[1] @ vectors[3] < 0.95
    assert vectors[1][1:3].tolist() == pytest.approx([vectors[1][1]] * 2)
    assert vectors[1][1] > 0.3
    queries = embedder.embed_queries(["cat cat cat dog cow"])
    np.testing.assert_allclose(queries[0], vectors[1], rtol=1e-5)


def test_the_prefix_takes_its_part_of_what_is_read():
    encoder = BagOfWords(["cat", "dog"])
    Embedder(encoder, E5, 4, reads_three_words).embed_passages(["cat dog dog", "x" * 9])
    assert encoder.calls[0][2] == ["cat", " dog dog", "x" * 9]


def test_a_text_without_blanks_is_cut_too():
    encoder = BagOfWords(["aaa", "bbb"])
    embedder = Embedder(encoder, Prefixes("", ""), 4, lambda texts: [len(text) <= 3 for text in texts])
    embedder.embed_passages(["aaabbb", "a"])
    assert encoder.calls[0][2] == ["aaa", "bbb", "a"]
