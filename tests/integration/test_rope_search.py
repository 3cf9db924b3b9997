"""Real Ray: stages that search their RoPE, a second start that reads what was found, and the probe of all of them."""

import json

import pytest
from transformers import AutoConfig

from tests.integration.synthesis_runs import run_to_end
from tests.integration.training_runs import stage, write_chats, write_model, write_training_recipe

pytestmark = [pytest.mark.timeout(900), pytest.mark.long]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    # Needle, question and template take some three hundred of its small tokens.
    write_model(folder / "model", max_position_embeddings=1024)
    write_chats(folder / "chats.jsonl")
    stages = [stage("2k", 2048, 2, warmup_steps=0), stage("3k", 3072, 2, warmup_steps=0)]
    for each in stages:
        each |= {"rope_theta": "search", "batch_tokens": each["max_seq_tokens"]}
    recipe = folder / "recipe.yaml"
    write_training_recipe(recipe, folder / "run", folder / "model", folder / "chats.jsonl", stages)
    recipe.write_text(recipe.read_text() + "probe: {num_needles: 3, num_haystacks: 1}\n")
    return folder, recipe, run_to_end("train", recipe)


def read_search(folder, name):
    return json.loads((folder / "run" / "train" / name / "rope" / "_complete.json").read_text())


def test_each_stage_is_exported_with_what_its_search_found(run):
    folder, _, log = run
    for name, old_tokens in (("2k", 1024), ("3k", 2048)):
        record = read_search(folder, name)
        assert record["old_tokens"] == old_tokens
        assert len(record["readings"]) == 8
        config = AutoConfig.from_pretrained(folder / "run" / "train" / name / "export")
        assert config.rope_parameters == record["rope_parameters"]
        assert f"stage {name}: RoPE {record['chosen']}" in log
    assert read_search(folder, "3k")["model"].endswith("/train/2k/export")


def test_a_second_start_reads_the_records_and_the_probe_reads_all(run):
    folder, recipe, _ = run
    before = read_search(folder, "2k")
    assert "probe " not in run_to_end("train", recipe)
    assert read_search(folder, "2k") == before
    run_to_end("probe", recipe)
    record = json.loads((folder / "run" / "probe" / "probe.json").read_text())
    names = {reading["name"] for reading in record["readings"]}
    assert {"own base", "rule", "stage 2k", "stage 3k"} <= names
    assert {reading["length_tokens"] for reading in record["readings"]} == {1024, 2048, 3072}
    assert (folder / "run" / "probe" / "probe.png").read_bytes().startswith(b"\x89PNG")
    assert "## 3,072 tokens" in (folder / "run" / "probe" / "probe.md").read_text()
