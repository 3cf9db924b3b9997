import pytest

from app.faults import UserError
from app.planning.corpus import plan_corpus
from app.recipe import load_config
from tests.record_makers import corpus_record


def recipe(tmp_path, *overrides):
    return load_config(
        "laptop",
        ["--run_dir", str(tmp_path / "run"), "--corpus.sources.0.path", str(tmp_path / "*.txt"), *overrides],
    )


def test_few_documents_are_all_counted(tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text("whale " * 700 * (number + 1))
    corpus = plan_corpus(recipe(tmp_path))
    assert corpus.source == "its files"
    assert corpus.num_documents == 5
    assert corpus.num_tokens == pytest.approx(6 * 700 * 15 / 4.2, rel=0.01)
    # Passages of 256 tokens are 225 in the mean: 1,000 tokens make 5, 2,000 make 9, …
    assert corpus.num_passages == 5 + 9 + 14 + 18 + 23


def test_the_settings_tell_of_files_that_nobody_can_read_here(tmp_path):
    corpus = plan_corpus(
        recipe(tmp_path, "--plan.num_corpus_documents", "100", "--plan.num_corpus_tokens", "90000")
    )
    assert (corpus.num_documents, corpus.num_tokens, corpus.source) == (100, 90_000, "the settings")
    assert corpus.lengths.mean == pytest.approx(900)
    with pytest.raises(UserError, match=r"give plan.num_corpus_documents and plan.num_corpus_tokens$"):
        plan_corpus(recipe(tmp_path))


def test_a_corpus_that_is_made_is_read(tmp_path):
    import pyarrow as pa

    from app.run import Run

    config = recipe(tmp_path)
    corpus = Run(config.run_dir).corpus
    (corpus.folder / "documents").write_table("part.parquet", pa.table({"num_tokens": [100, 300]}))
    corpus.complete(corpus_record(num_documents=2, num_tokens=400, num_passages=3))
    plan = plan_corpus(config)
    assert (plan.num_documents, plan.num_tokens, plan.num_passages) == (2, 400, 3)
    assert plan.lengths.mean == 200
    assert plan.source == "the run's corpus"
