from app.dataset.word_shares import WORD_SHARES_FILE, sample_passages, write_word_shares
from app.storage import Folder
from tests.retrieval.fake_corpus import write_corpus


def test_words_are_counted_over_the_corpus(tmp_path):
    corpus, dataset = Folder(str(tmp_path / "corpus")), Folder(str(tmp_path / "dataset"))
    write_corpus(
        corpus, [[("a", ["that mine", "that flood"])], [("b", ["that river", "that sea", "those boats"])]]
    )
    write_word_shares(corpus, dataset)
    assert dataset.read_json(WORD_SHARES_FILE) == {"that": 0.6}


def test_the_sample_is_taken_from_all_over_the_corpus(tmp_path):
    corpus = Folder(str(tmp_path / "corpus"))
    write_corpus(corpus, [[("long", [f"part {part} {number}" for number in range(40)])] for part in range(4)])
    texts = sample_passages(corpus, max_passages=16)
    assert len(texts) == 16
    assert {text.split()[1] for text in texts} == {"0", "1", "2", "3"}
    assert max(int(text.split()[2]) for text in texts) > 20
