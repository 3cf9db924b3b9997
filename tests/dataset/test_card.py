"""The card: valid for the Hub, true to the numbers, free of secrets; `load_dataset` opens what it describes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from app.config import identity
from app.dataset.card import COLUMNS, config_name, render_card, write_card
from app.dataset.excerpts import read_examples, shorten_example
from app.dataset.statistics import compute_statistics
from app.schema import EXAMPLE_SCHEMA
from tests.dataset.example_rows import CALLS, make_config, make_row, make_rows, write_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    dataset = write_dataset(tmp_path_factory.mktemp("floods"))
    write_card(dataset, make_config(), compute_statistics(dataset, CALLS))
    return dataset


@pytest.fixture(scope="module")
def card(dataset):
    return dataset.read_bytes("README.md").decode()


def run_python(script, arguments, cache):
    # The cache and the offline switch of `datasets` are read when it is imported, so it runs beside.
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(cache),
        "HF_DATASETS_CACHE": str(cache),
    }
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_load_dataset_opens_exactly_the_examples(dataset, tmp_path):
    script = (
        "import sys, json, datasets\n"
        "found = datasets.load_dataset(sys.argv[1])\n"
        "assert list(found) == ['train'], found\n"
        "print(json.dumps(found['train'].to_list()))\n"
    )
    done = run_python(script, [dataset.path], tmp_path)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout.splitlines()[-1]) == make_rows()


@pytest.mark.slow
def test_load_dataset_gives_the_rows_of_the_run_it_is_asked_for(tmp_path):
    """Two runs one after the other, then the first one's dataset made anew in its folder, all with one cache."""
    rows = make_rows()
    remade = [{**row, "instruction": "Trace the next flood."} for row in rows[:3]]
    folders = {
        name: write_dataset(tmp_path / name / "dataset", made, [])
        for name, made in {"one": rows, "two": rows[:4], "three": remade}.items()
    }
    for name, dataset in folders.items():
        config = make_config(run_dir=f"runs/{name.replace('three', 'one')}")
        write_card(dataset, config, compute_statistics(dataset, {}))
    script = (
        "import sys, json, shutil, datasets\n"
        "one, two, remade = sys.argv[1:]\n"
        "def load(path):\n"
        "    found = datasets.load_dataset(path, split='train')\n"
        "    return [row['instruction'] for row in found]\n"
        "found = [load(one), load(two)]\n"
        "shutil.rmtree(one)\n"
        "shutil.copytree(remade, one)\n"
        "print(json.dumps([*found, load(one)]))\n"
    )
    done = run_python(script, [dataset.path for dataset in folders.values()], tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    wanted = [[row["instruction"] for row in made] for made in (rows, rows[:4], remade)]
    assert yaml.safe_load(done.stdout.splitlines()[-1]) == wanted


def test_names_of_configurations_are_plain_and_told_apart_by_rows():
    assert config_name("me/Fluß: 2", "0123abcd") == "Flu-2-0123abcd"
    assert config_name("???", "0123abcd") == "run-0123abcd"


def test_front_matter_is_what_the_hub_validates(card):
    from huggingface_hub import DatasetCard

    data = DatasetCard(card).data.to_dict()
    assert data["size_categories"] == ["n<1K"]
    assert data["license"] == "other"
    (found,) = data["configs"]
    assert re.fullmatch(r"floods-[0-9a-f]{8}", found["config_name"])
    assert found["data_files"] == [{"split": "train", "path": "examples/*.parquet"}]
    assert "long-context" in data["tags"]


def test_pictures_are_shown_and_there(card, dataset):
    for name in ("lengths.png", "evidence_depths.png"):
        assert f"]({name})" in card
        assert dataset.read_bytes(name).startswith(b"\x89PNG")


def test_the_card_says_how_it_was_made(card):
    for text in (
        "writer",
        "bundled:multilingual-e5-small",
        "bucket/floods.jsonl",
        "with prompts `1`",
        "2412.18860",
    ):
        assert text in card
    block = card.split("## Settings")[1].split("```yaml\n")[1].split("```")[0]
    settings = yaml.safe_load(block)
    assert settings["dataset"] == identity(make_config())["dataset"]
    assert settings["corpus"]["sources"][0]["path"] == "s3://bucket/floods.jsonl"


def test_the_card_holds_no_secret(card):
    for secret in ("SECRET_KEY_VARIABLE", "inner-host", "HF_TOKEN"):
        assert secret not in card


def test_rejects_and_calls_are_tables(card):
    assert "3 of 16 seeds." in card
    lines = [re.sub(" +", " ", line) for line in card.splitlines()]
    assert "| filters | refusal | 2 |" in lines
    assert "| assembly | evidence exceeds target | 1 |" in lines
    assert "| summarize | 40 | 90,000 | 50 | 700 |" in lines
    assert "| all | 43 | 93,000 | 1,050 | 1,000 |" in lines


def test_the_card_counts_where_the_passages_of_the_instructions_stand(dataset):
    statistics = compute_statistics(dataset, CALLS, {"evidence": 7, "distractor": 3})
    assert statistics.seed_passages == {"evidence": 7, "distractor": 3}
    card = render_card(make_config(), statistics, [], "0123abcd")
    assert "in 10 long inputs: evidence in 7, distractor in 3." in card


def test_every_column_is_explained():
    assert list(COLUMNS) == EXAMPLE_SCHEMA.names


def test_three_examples_are_shown_shortened(card):
    assert card.count("**Answer**") == 3
    assert "`long_input-000000` · compare · 4,000 tokens · 2 documents · evidence at 0%, 100%" in card


def test_shortened_examples_stay_short_and_harmless():
    row = make_row(
        1, documents="# Heading <script> | `x` " * 10_000, depths=[index / 40 for index in range(40)]
    )
    text = shorten_example(row)
    assert len(text) < 1500
    assert "\\# Heading \\<script\\> \\| \\`x\\`" in text
    assert "40 evidence passages between 0% and 98%" in text
    assert "---" not in text
    assert shorten_example(make_row(1, "long_output")).count("**") == 4


def test_examples_are_read_in_order(dataset):
    assert list(read_examples(dataset)) == make_rows()


def test_an_empty_dataset_has_a_card(tmp_path):
    dataset = write_dataset(tmp_path, [], [])
    write_card(dataset, make_config(), compute_statistics(dataset, {}))
    card = Path(dataset.file("README.md")).read_text("utf-8")
    assert "no examples" in card
    assert "Nothing: each seed became an example." in card
