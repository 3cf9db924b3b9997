"""A preview of a run: the first of its own seeds, on a page from the first one on, and nothing of it in the run."""

import json
import re

import pytest

from app.storage import Folder
from tests.integration.endpoint_double import EndpointDouble, reply_to
from tests.integration.synthesis_runs import (
    dataset_ids,
    driver,
    run_to_end,
    wait_until,
    write_corpus,
    write_recipe,
)

DELAY_SEC = 0.5


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_preview_is_the_beginning_of_its_run_and_grows_on_its_page(tmp_path):
    write_corpus(tmp_path / "corpus.jsonl", num_documents=12)
    recipe, run = tmp_path / "recipe.yaml", tmp_path / "run"
    page = run / "preview" / "dataset.html"

    def reply(system, user, serial):
        # One of the replies is a refusal.
        text = "I'm sorry, but I cannot help." if serial == 3 else reply_to(system, user, serial)
        return text, "stop"

    with EndpointDouble(delay_sec=DELAY_SEC, reply=reply) as endpoint:
        write_recipe(recipe, run, tmp_path / "corpus.jsonl", endpoint.base_url)
        one_by_one = ("--pipeline.rows_per_batch", "1", "--pipeline.batches_per_actor", "1")
        with driver("preview", recipe, "--num", "6", *one_by_one) as process:
            wait_until(page.exists, process, timeout_sec=600)
            early = page.read_text()
            num_served = len(endpoint.served)
            assert process.wait(600) == 0, process.log.read_text()
            log = process.log.read_text()
        assert len(endpoint.served) > num_served
        assert re.search(r"[1-5] of 6 seeds are done", early)
        assert early.count("<article") < 6
        assert log.index(f"open      {page}") < log.index("dataset: ")
        examples, rejects = dataset_ids(run / "preview")
        whole = page.read_text()
        assert all(f"<h3>{seed_id}</h3>" in whole for seed_id in [*examples, *rejects])
        assert whole.count("<mark") > 0
        assert "Preview of run" in whole
        # The run itself has its documents now, and the settings that made them.
        assert sorted(each.name for each in run.iterdir()) == ["config.json", "corpus", "index", "preview"]
        assert (
            json.loads((run / "config.json").read_text())["config"]["dataset"]["num_long_input_seeds"] == 18
        )

        num_served = len(endpoint.served)
        assert f"open      {page}" in run_to_end("preview", recipe, "--num", "6")
        assert len(endpoint.served) == num_served
        run_to_end("synthesize", recipe)
    made, left_out = dataset_ids(run)
    assert {*examples, *rejects} < {*made, *left_out}
    assert len([*examples, *rejects]) == 6
    assert Folder(str(run / "preview")).exists("config.json")
