"""A finished dataset with measures: what is left out, what the card says, and what another threshold changes."""

import re
from dataclasses import replace

import pyarrow as pa
import pytest

from app.config import ThresholdConfig, VerificationConfig
from app.dataset.finishing import finish_dataset
from app.dataset.result_rows import ResultRows
from app.dataset.results import RESULT_SCHEMA, example_row
from app.dataset.thresholds import ShuffledScores
from app.dataset.verified import (
    SHUFFLED_FILE,
    forget_shuffled,
    judge_rows,
    read_shuffled,
    reopen_for_thresholds,
)
from app.recipe import load_config
from app.run import COMPLETE_FILE
from app.schema import Evidence, Example, Verification
from app.storage import Folder
from tests.dataset.test_finishing import result

SOUND = Verification(closed_book=-3.0, evidence_gain=2.0, distractor_gain=0.2, necessity={"a": 0.9, "b": 0.8})


def with_measures(index, verification):
    row = result(index)
    drops = [{"document_id": name, "drop": drop} for name, drop in verification.necessity.items()]
    measured = {name: getattr(verification, name) for name in Verification.__dataclass_fields__}
    return row | {"verification": measured | {"necessity": drops}}


@pytest.fixture
def folders(tmp_path):
    dataset, results = Folder(str(tmp_path / "dataset")), Folder(str(tmp_path / "results"))
    rows = [
        with_measures(0, SOUND),
        with_measures(1, replace(SOUND, evidence_gain=0.1, distractor_gain=0.0)),
        with_measures(2, replace(SOUND, necessity={"a": 2.0, "b": 0.0})),
        with_measures(3, Verification(not_verified="endpoint tells no log probabilities of a prompt")),
    ]
    results.write_table("a.parquet", pa.Table.from_pylist(rows, schema=RESULT_SCHEMA))
    dataset.write_json(
        SHUFFLED_FILE,
        {"closed_book": [-4.0] * 20, "evidence_gain": [0.2] * 20, "necessity": [0.1] * 20},
    )
    return dataset, results


def make_config(**thresholds):
    config = load_config("laptop")
    verification = VerificationConfig(signals=True, thresholds=ThresholdConfig(**thresholds))
    agent = config.agent.model_copy(update={"verification": verification})
    return config.model_copy(update={"agent": agent})


def test_rows_that_fall_short_are_rejects_and_those_without_measures_stay(folders):
    dataset, results = folders
    record = finish_dataset(make_config(), dataset, results, num_seeds=4)
    (name,) = (dataset / "examples").list_names()
    assert (dataset / "examples").read_table(name)["example_id"].to_pylist() == ["seed-0", "seed-3"]
    assert {(each.step, each.reason) for each in record.rejects} == {
        ("verification", "not in its evidence"),
        ("verification", "needs too few documents"),
    }


def test_the_card_shows_thresholds_and_both_distributions(folders):
    dataset, results = folders
    finish_dataset(make_config(), dataset, results, num_seeds=4)
    card = dataset.read_bytes("README.md").decode()
    section = card.partition("## Verification")[2].partition("## Columns")[0]
    assert "3 answers of long inputs were measured" in section
    assert "min evidence gain 0.20" in section
    assert "Not verified, and kept: 1 (endpoint tells no log probabilities" in section
    assert re.search(r"\| evidence gain +\| own ", section)
    assert re.search(r"\| evidence gain +\| shuffled ", section)
    assert "evidence gain 0.67" in section, "two of three gains are above the shuffled ones"


def test_another_threshold_makes_other_examples_of_the_same_rows(folders):
    dataset, results = folders
    finish_dataset(make_config(), dataset, results, num_seeds=4)
    dataset.write_json(COMPLETE_FILE, {})
    assert not reopen_for_thresholds(make_config(), dataset)
    assert dataset.exists(COMPLETE_FILE)
    other = make_config(min_evidence_gain=0.0)
    assert reopen_for_thresholds(other, dataset)
    assert not dataset.exists(COMPLETE_FILE)
    record = finish_dataset(other, dataset, results, num_seeds=4)
    assert (record.num_examples, record.num_rejects) == (3, 1)
    assert not reopen_for_thresholds(other, dataset)


def test_without_verification_nothing_is_left_out(folders):
    dataset, results = folders
    found = judge_rows(load_config("laptop"), dataset, ResultRows(results))
    assert (found.rejects, found.counts) == ({}, None)


def test_shuffled_scores_are_forgotten_when_rows_are_made_again(folders):
    dataset, _ = folders
    forget_shuffled(dataset)
    forget_shuffled(dataset)
    assert read_shuffled(dataset) == ShuffledScores([], [], [])


def test_measures_stand_in_the_row_with_their_documents():
    example = Example(
        "s",
        "long_input",
        "trace",
        [],
        9,
        ["a"],
        [Evidence("a:00000", 0.5, 0, 8)],
        "m",
        "1",
        "i",
        verification=SOUND,
    )
    measured = example_row(example)["verification"]
    assert measured["necessity"] == [{"document_id": "a", "drop": 0.9}, {"document_id": "b", "drop": 0.8}]
    assert measured["evidence_gain"] == 2.0
    assert measured["not_verified"] is None
