"""An endpoint with a fault stops the synthesis in one line, and the same command goes on where it stopped; one that
answers in Chinese has no fault."""

import shutil
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from app.cluster.connection import connect
from app.corpus.pipeline import build_corpus
from app.dataset.pipeline import synthesize
from app.faults import UserError
from app.recipe import load_config
from app.retrieval.pipeline import build_index
from app.run import Run
from tests.integration.endpoint_double import EndpointDouble, reply_in_chinese
from tests.integration.synthesis_runs import (
    KEY_VARIABLE,
    dataset_ids,
    write_chinese_corpus,
    write_corpus,
    write_recipe,
)

pytestmark = pytest.mark.timeout(1200)

KEY = "sk-planted-for-this-test-0123456789"
SEEDS = ["--dataset.num_long_input_seeds", "4", "--dataset.num_long_output_seeds", "2"]


def make(recipe: Path, *overrides: str) -> list[str]:
    """Make the dataset; what was reported."""
    config = load_config(str(recipe), [*SEEDS, *overrides])
    lines: list[str] = []
    synthesize(config, Run(config.run_dir), lines.append)
    return lines


@pytest.fixture(scope="module")
def temp_dir():
    # Sockets need a short path, which pytest's are not.
    with tempfile.TemporaryDirectory(prefix="ls", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory, temp_dir):
    """A run with corpus and index, on a Ray whose workers have the planted key."""
    folder = tmp_path_factory.mktemp("indexed")
    write_corpus(folder / "corpus.jsonl")
    write_recipe(folder / "recipe.yaml", folder / "run", folder / "corpus.jsonl", "http://127.0.0.1:1/v1")
    config = load_config(str(folder / "recipe.yaml"), [*SEEDS, "--ray.temp_dir", str(temp_dir)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, KEY)
        patch.delenv("RAY_ADDRESS", raising=False)
        with connect(config.ray):
            run = Run(config.run_dir)
            build_corpus(config, run, print)
            build_index(config, run, print)
            yield folder


@pytest.fixture
def run(indexed, tmp_path):
    """`run(endpoint)` makes a copy of the indexed run and gives its recipe."""

    def copy(endpoint: EndpointDouble) -> Path:
        shutil.copytree(indexed / "run", tmp_path / "run")
        write_recipe(tmp_path / "recipe.yaml", tmp_path / "run", indexed / "corpus.jsonl", endpoint.base_url)
        return tmp_path / "recipe.yaml"

    return copy


def test_credit_that_ends_loses_nothing(run, tmp_path):
    with EndpointDouble(is_repeatable=True) as endpoint:
        recipe = run(endpoint)
        endpoint.fault = lambda system, num_served: (402, "sorry, not now") if num_served >= 20 else None
        with pytest.raises(
            UserError, match=r"^generator.base_url: .*HTTP 402: sorry, not now.*resumes"
        ) as raised:
            make(recipe)
        assert len(str(raised.value).splitlines()) == 1
        assert not (tmp_path / "run" / "dataset" / "_complete.json").exists()
        endpoint.fault = lambda system, num_served: None
        make(recipe)
        asked = [call.body_hash for call in endpoint.served]
    examples, rejects = dataset_ids(tmp_path / "run")
    assert (len(examples), rejects) == (6, {})
    # Calls under way at the stop are made again, finished ones are not.
    assert len(asked) - len(set(asked)) < 10


def test_what_every_call_gets_is_told_after_a_few_calls_and_can_be_mended(run, tmp_path):
    with EndpointDouble(is_repeatable=True) as endpoint:
        recipe = run(endpoint)
        endpoint.fault = lambda system, num_served: (400, "max_tokens is not known here")
        with pytest.raises(UserError, match=r"refuses every request .*max_tokens is not known here"):
            make(recipe)
        assert endpoint.num_refused <= 40
        endpoint.fault = lambda system, num_served: None
        make(recipe)
    examples, rejects = dataset_ids(tmp_path / "run")
    assert (len(examples), rejects) == (6, {})


@pytest.mark.long
def test_replies_that_nobody_can_read_stop_the_job_and_are_asked_for_again(run, tmp_path):
    with EndpointDouble(is_repeatable=True) as endpoint:
        recipe = run(endpoint)
        endpoint.fault = lambda system, num_served: (200, "[" * 20_000) if '{"notes"' in system else None
        with pytest.raises(UserError, match=r"^dataset.max_reject_share: .*\(selection: not JSON"):
            make(recipe, "--dataset.min_judged_rows", "6")
        endpoint.fault = lambda system, num_served: None
        num_served = len(endpoint.served)
        make(recipe, "--dataset.min_judged_rows", "6")
        # Summaries are most of the calls, and none was paid for twice.
        assert not any(call.user.partition("Excerpt:")[1] for call in endpoint.served[num_served:])
    examples, rejects = dataset_ids(tmp_path / "run")
    assert (len(examples), rejects) == (6, {})


@pytest.mark.usefixtures("indexed")
def test_documents_and_answers_in_chinese_make_their_examples(tmp_path):
    write_chinese_corpus(tmp_path / "corpus.jsonl")
    with EndpointDouble(is_repeatable=True, reply=reply_in_chinese) as endpoint:
        recipe = tmp_path / "recipe.yaml"
        write_recipe(recipe, tmp_path / "run", tmp_path / "corpus.jsonl", endpoint.base_url)
        config = load_config(str(recipe), SEEDS)
        run = Run(config.run_dir)
        build_corpus(config, run, print)
        build_index(config, run, print)
        make(recipe)
    examples, rejects = dataset_ids(tmp_path / "run")
    assert (len(examples), rejects) == (6, {})
    rows = pq.read_table(tmp_path / "run" / "dataset" / "examples").to_pylist()
    answers = [row["messages"][-1]["content"] for row in rows if row["kind"] == "long_input"]
    assert all(answer.endswith("车。") for answer in answers), "a cut answer ends with a whole sentence"
    assert all(0 < len(row["evidence_depths"]) < 5 for row in rows if row["kind"] == "long_input")


def test_no_file_of_any_process_holds_the_key(indexed, temp_dir, tmp_path):
    files = [path for folder in (indexed, temp_dir, tmp_path.parent) for path in folder.rglob("*")]
    texts = {path: path.read_bytes() for path in files if path.is_file() and not path.is_symlink()}
    assert any(path.suffix in (".out", ".err", ".log") for path in texts)
    assert [path for path, text in texts.items() if KEY.encode() in text] == []
