import faiss
import numpy as np
import pytest

from app.retrieval.embedder import Embedder, Prefixes
from app.retrieval.index import SearchIndex
from app.retrieval.passages import PassageStore, write_row_files
from app.retrieval.retriever import Query, Retriever, choose_runs
from app.storage import Folder
from tests.retrieval.fake_corpus import BagOfWords, write_corpus

WORDS = ["cat", "dog", "bird", "fish"]
FILLER = "and so on it goes. "  # 5 tokens

CORPUS = [
    [
        ("Cats", [FILLER, f"cat {FILLER}", FILLER, f"cat cat {FILLER}", FILLER]),
        ("Pets", [f"cat dog {FILLER}", f"dog {FILLER}"]),
    ],
    [("Dogs", [f"dog {FILLER}"]), ("Birds", [f"bird {FILLER}"]), ("Stones", [FILLER] * 30)],
]


def make_retriever(path, parts):
    corpus = Folder(str(path / "corpus"))
    texts = write_corpus(corpus, parts)
    write_row_files(corpus, Folder(str(path / "index")))
    embedder = Embedder(BagOfWords(WORDS), Prefixes("query: ", "passage: "), batch_size=4)
    index = faiss.IndexFlatIP(len(WORDS) + 1)
    index.add(embedder.embed_passages(texts))
    return Retriever(embedder, SearchIndex(index, 1), PassageStore(path / "index", corpus))


@pytest.fixture
def retriever(tmp_path):
    return make_retriever(tmp_path, CORPUS)


def titles(documents):
    return [document.title for document in documents]


def test_documents_come_by_their_best_passage_and_once(retriever):
    (documents,) = retriever.retrieve([Query("cat", 20, 1000)])
    assert titles(documents) == ["Cats"]
    (documents,) = retriever.retrieve([Query("cat", 40, 1000)])
    assert titles(documents) == ["Cats", "Pets"]
    assert [document.score for document in documents] == sorted((d.score for d in documents), reverse=True)
    assert documents[0].text == "".join(CORPUS[0][0][1])
    (documents,) = retriever.retrieve([Query("bird", 6, 1000)])
    assert titles(documents) == ["Birds"]


def test_there_are_as_many_documents_as_fill_the_length(retriever):
    for num_tokens in (1, 6, 13, 14, 19, 20, 50, 150):
        (documents,) = retriever.retrieve([Query("dog", num_tokens, 1000)])
        sizes = [document.num_tokens for document in documents]
        assert sum(sizes) >= num_tokens
        assert sum(sizes[:-1]) < num_tokens
        assert len(set(titles(documents))) == len(documents)


def test_the_search_goes_deeper_until_the_length_is_filled(retriever, monkeypatch):
    asked = []
    search = retriever._index.search
    monkeypatch.setattr(
        retriever._index, "search", lambda vectors, k: asked.append((len(vectors), k)) or search(vectors, k)
    )
    # The first sixteen hits lie in two documents, of each of which five tokens are taken.
    deep, shallow = retriever.retrieve([Query(FILLER, 20, 5), Query("dog", 6, 1000)])
    assert sum(document.num_tokens for document in deep) >= 20
    assert titles(shallow) == ["Pets"]
    assert asked == [(2, 16), (1, 39)]


def test_a_corpus_that_is_too_small_gives_all_it_has(retriever):
    (documents,) = retriever.retrieve([Query("cat", 10**6, 1000)])
    assert sorted(titles(documents)) == ["Birds", "Cats", "Dogs", "Pets", "Stones"]
    assert sum(document.num_tokens for document in documents) == int(retriever._store.num_tokens.sum())


def test_a_long_document_is_cut_to_the_passages_around_its_best_ones(retriever):
    (documents,) = retriever.retrieve([Query("cat", 1, 19)])
    (cats,) = documents
    # `cat cat` is the best, `cat` two passages before it is within reach.
    assert [passage.passage_id[-5:] for passage in cats.passages] == ["00001", "00002", "00003"]
    assert cats.num_tokens == 18
    assert cats.text in "".join(CORPUS[0][0][1])


def test_an_answer_does_not_depend_on_its_batch(retriever):
    queries = [Query(text, length, 15) for text in ("cat", "dog bird", "fish") for length in (5, 60)]
    assert retriever.retrieve(queries) == [retriever.retrieve([query])[0] for query in queries]
    assert retriever.retrieve([]) == []


def test_inverted_lists_are_visited_for_each_query_by_itself(tmp_path):
    corpus = Folder(str(tmp_path / "corpus"))
    parts = [[(f"{word} {number}", [f"{word} " * (number + 1)]) for number in range(20)] for word in WORDS]
    texts = write_corpus(corpus, parts)
    write_row_files(corpus, Folder(str(tmp_path / "index")))
    embedder = Embedder(BagOfWords(WORDS), Prefixes("", ""), batch_size=4)
    vectors = embedder.embed_passages(texts)
    index = faiss.index_factory(vectors.shape[1], "IVF8,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    retriever = Retriever(embedder, SearchIndex(index, 1), PassageStore(tmp_path / "index", corpus))
    queries = [Query(f"{text} cat", length, 100) for text in WORDS for length in (5, 300, 600)]
    together = retriever.retrieve(queries)
    assert together == [retriever.retrieve([query])[0] for query in queries]


def test_hits_that_only_its_batch_needs_do_not_move_a_run(tmp_path):
    edges = [f"cat bird {FILLER}", FILLER, FILLER, f"cat cat {FILLER}", FILLER, FILLER, FILLER]
    retriever = make_retriever(tmp_path, [[("Edges", edges), ("Many", [f"cat cat dog {FILLER}"] * 30)]])
    # `cat bird` is hit number 32: too late for this query, and found for the other.
    short, long = Query("cat", 5, 19), Query("cat", 1000, 19)
    (alone,), (together, deep) = retriever.retrieve([short]), retriever.retrieve([short, long])
    assert alone == together
    assert [passage.text for passage in together[0].passages] == edges[2:5]
    assert [passage.text for passage in deep[0].passages] == [edges[0], *edges[3:5]]


def test_queries_are_sent_as_queries_in_one_call(retriever):
    calls = retriever._embedder._encoder.calls
    calls.clear()
    retriever.retrieve([Query("cat", 5, 5), Query("dog", 200, 5)])
    assert calls == [("query: ", 1, ["cat", "dog"])]


def tokens(*sizes):
    # The rows before and after belong to other documents.
    return np.array([1000, *sizes, 1000], dtype=np.int32)


@pytest.mark.parametrize(
    ("sizes", "hits", "max_tokens", "runs"),
    [
        ([10, 10, 10], [2], 30, [range(1, 4)]),  # fits
        ([10] * 9, [5], 30, [range(4, 7)]),  # both sides evenly
        ([10] * 9, [5], 40, [range(4, 8)]),  # what follows first
        ([10] * 9, [1], 30, [range(1, 4)]),  # no more before it
        ([10] * 9, [9], 30, [range(7, 10)]),  # nor after it
        ([10] * 9, [5, 7], 40, [range(5, 9)]),  # two that meet are one
        ([10] * 9, [8, 2], 40, [range(2, 4), range(8, 10)]),  # in turns
        ([10] * 9, [8, 2, 5], 40, [range(2, 3), range(5, 6), range(8, 10)]),
        ([10] * 30, [2, 8, 14, 20, 26], 60, [range(2, 4), range(8, 10), range(14, 15), range(20, 21)]),
        ([10, 10, 90, 10], [2], 30, [range(1, 3)]),  # a large one in the way
        ([10, 90, 10], [2], 30, [range(2, 3)]),  # the best alone is larger
        ([10, 90, 10], [1, 2], 30, [range(1, 2)]),  # a later hit is not taken at any price
    ],
)
def test_runs_grow_around_the_best_hits(sizes, hits, max_tokens, runs):
    assert choose_runs(tokens(*sizes), 1, len(sizes) + 1, hits, max_tokens) == runs


def test_anchors_are_taken_whatever_they_cost():
    assert choose_runs(tokens(10, 90, 10, 90, 10), 1, 6, [2, 4, 1], 100, num_anchors=2) == [
        range(2, 3),
        range(4, 5),
    ]


def anchor_of(retriever, text):
    passages = retriever._store.read(range(retriever._store.num_rows)).values()
    return next(passage for passage in passages if passage.text == text)


def test_an_anchors_document_comes_first_with_that_passage(retriever):
    anchor = anchor_of(retriever, f"bird {FILLER}")
    (documents,) = retriever.retrieve([Query("cat", 40, 1000, (anchor.passage_id,))])
    assert titles(documents) == ["Birds", "Cats", "Pets"]
    assert documents[0].passages == [anchor]


def test_an_anchor_stands_in_what_is_taken_of_a_long_document(retriever):
    stones = [row for row in retriever._store.read(range(39)).values() if row.num_tokens == 5]
    document_id = max({row.document_id for row in stones}, key=[row.document_id for row in stones].count)
    anchor = f"{document_id}:00027"
    for query in ("cat", FILLER):
        (documents,) = retriever.retrieve([Query(query, 60, 20, (anchor,))])
        ids = [passage.passage_id for passage in documents[0].passages]
        assert anchor in ids
        assert documents[0].num_tokens <= 20
    # The passages around the anchor, and others that were found: two stretches, told apart.
    assert documents[0].gaps
    (together, other) = retriever.retrieve([Query("cat", 60, 20, (anchor,)), Query("dog", 5, 20)])
    assert together == retriever.retrieve([Query("cat", 60, 20, (anchor,))])[0]
    assert anchor not in [passage.passage_id for document in other for passage in document.passages]
