"""What is killed or late in the middle of a synthesis costs no row and makes none twice. Only the LLM is a double."""

import shutil
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from app.dataset.pipeline import CHECKPOINT, count_committed
from app.storage import Folder
from tests.integration.endpoint_double import EndpointDouble
from tests.integration.synthesis_runs import (
    NUM_LONG_INPUTS,
    NUM_LONG_OUTPUTS,
    dataset_ids,
    driver,
    end,
    find_workers,
    journaled,
    run_to_end,
    wait_until,
    write_corpus,
    write_recipe,
)

NUM_SEEDS = NUM_LONG_INPUTS + NUM_LONG_OUTPUTS
AGENT = "ray::MapWorker(MapBatches(AgentActor))"


@pytest.fixture(scope="module")
def indexed(tmp_path_factory) -> Path:
    """A run folder with corpus and index, and the corpus file beside it."""
    folder = tmp_path_factory.mktemp("indexed")
    write_corpus(folder / "corpus.jsonl")
    write_recipe(folder / "recipe.yaml", folder / "run", folder / "corpus.jsonl", "http://127.0.0.1:1/v1")
    run_to_end("index", folder / "recipe.yaml")
    return folder


def new_run(indexed: Path, folder: Path, base_url: str) -> tuple[Path, Path]:
    """A copy of the indexed run and its recipe."""
    shutil.copytree(indexed / "run", folder / "run")
    write_recipe(folder / "recipe.yaml", folder / "run", indexed / "corpus.jsonl", base_url)
    return folder / "run", folder / "recipe.yaml"


@pytest.fixture(scope="module")
def undisturbed(indexed, tmp_path_factory) -> list[str]:
    """Example ids of a run that nothing happened to but a second actor, which came as batches waited."""
    with EndpointDouble(delay_sec=1) as endpoint:
        run, recipe = new_run(indexed, tmp_path_factory.mktemp("undisturbed"), endpoint.base_url)
        with driver("synthesize", recipe, "--pipeline.max_actors", "2") as process:
            wait_until(lambda: len(find_workers(process, AGENT)) == 2, process)
            assert process.wait(300) == 0, process.log.read_text()
    examples, rejects = dataset_ids(run)
    assert (len(examples), rejects) == (NUM_SEEDS, {})
    return examples


@pytest.mark.timeout(900)
def test_killed_driver_resumes_with_the_same_ids_and_repeats_no_finished_call(indexed, undisturbed, tmp_path):
    with EndpointDouble(delay_sec=0.3) as endpoint:
        run, recipe = new_run(indexed, tmp_path, endpoint.base_url)
        with driver("synthesize", recipe) as process:
            wait_until(lambda: len(endpoint.served) >= 120, process)
            process.send_signal(signal.SIGKILL)
            end(process)
        # A call is finished when its reply is in the journal; others were in flight.
        finished_texts = journaled(run)
        served_before = list(endpoint.served)
        assert not (run / "dataset" / "_complete.json").exists()
        assert 0 < count_committed(Folder(str(run / "dataset" / CHECKPOINT))) < NUM_SEEDS
        run_to_end("synthesize", recipe)
        served_after = endpoint.served[len(served_before) :]
    examples, rejects = dataset_ids(run)
    assert examples == undisturbed
    assert rejects == {}
    finished = {
        call.body_hash
        for call in served_before
        if any(f"call {call.serial}:" in text or f"number {call.serial}." in text for text in finished_texts)
    }
    assert len(finished) > 10
    assert not finished & {call.body_hash for call in served_after}, "a finished call was made again"
    assert not (run / "dataset" / "_calls").exists()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_actors_and_late_answers_cost_only_the_rows_that_were_late(indexed, undisturbed, tmp_path):
    late = {undisturbed[3], undisturbed[11]}

    with EndpointDouble(delay_sec=0.15) as endpoint:
        run, recipe = new_run(indexed, tmp_path, endpoint.base_url)
        # The rows to be late are told by their passages, which their first calls begin with.
        with driver("synthesize", recipe) as process:
            seeds = run / "dataset" / "seeds"
            wait_until(lambda: (seeds / "_complete.json").exists(), process)
            passages = [
                row["text"].strip()[:200]
                for row in pq.read_table(sorted(seeds.glob("*.parquet"))).to_pylist()
                if row["seed_id"] in late
            ]
            endpoint.hangs = lambda user: any(user.startswith(passage) for passage in passages)
            wait_until(lambda: len(endpoint.served) > 20, process)
            find_workers(process, AGENT)[0].kill()
            num_served = len(endpoint.served)
            wait_until(lambda: len(endpoint.served) > num_served + 20, process)
            find_workers(process, "ray::RetrieverActor")[0].kill()
            assert process.wait(300) == 0, process.log.read_text()
    examples, rejects = dataset_ids(run)
    assert rejects == dict.fromkeys(late, "timed out")
    assert examples == [example for example in undisturbed if example not in late]
