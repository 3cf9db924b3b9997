import json
import math

import pytest

from app.faults import UserError
from app.recipe import load_config
from app.run import COMPLETE_FILE, SETTINGS_FILE, Run, differences
from tests.record_makers import gate_record, index_record, stage_record


def test_an_artefact_goes_on_with_the_same_settings(tmp_path):
    artefact = Run(str(tmp_path)).corpus
    artefact.claim({"a": 1, "b": [{"c": 2}]})
    artefact.folder.write_bytes("part", b"half done")
    Run(str(tmp_path)).corpus.claim({"a": 1, "b": [{"c": 2}]})
    assert artefact.folder.read_bytes("part") == b"half done"


def test_an_artefact_refuses_other_settings_and_names_the_field(tmp_path):
    Run(str(tmp_path)).corpus.claim({"a": 1, "b": [{"c": 2}]})
    with pytest.raises(
        UserError, match=r"^b\.0\.c: .* was made with 2, but now it is 3; change it back, or give another"
    ):
        Run(str(tmp_path)).corpus.claim({"a": 1, "b": [{"c": 3}]})


def test_complete_is_declared_with_a_record(tmp_path):
    artefact = Run(str(tmp_path)).index
    assert not artefact.is_complete()
    artefact.complete(index_record(num_vectors=3))
    assert artefact.is_complete()
    assert artefact.record() == index_record(num_vectors=3)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b'{"dim": 4',
        b"[]",
        b"{}",
        json.dumps(index_record().values() | {"dim": "wide"}).encode(),
    ],
)
def test_a_damaged_record_is_the_users_fault_and_names_the_file(tmp_path, payload):
    index = Run(str(tmp_path)).index
    index.folder.write_bytes(COMPLETE_FILE, payload)
    with pytest.raises(
        UserError, match=rf"^{tmp_path}/index/_complete\.json: is damaged .* restore the file, or give"
    ):
        index.record()


def test_a_record_of_another_shape_names_what_it_should_not_have(tmp_path):
    run = Run(str(tmp_path))
    run.gates.write_json("a.json", gate_record().values() | {"verdict": True})
    with pytest.raises(UserError, match=r"/gates/a\.json: .* \(verdict: Extra inputs are not permitted\)"):
        run.gate("a")
    assert run.gate("b") is None


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"a"'])
def test_damaged_settings_are_the_users_fault_and_name_the_file(tmp_path, payload):
    corpus = Run(str(tmp_path)).corpus
    corpus.folder.write_bytes(SETTINGS_FILE, payload)
    with pytest.raises(UserError, match=rf"^{tmp_path}/corpus/settings\.json: is damaged"):
        corpus.claim({"a": 1})


def test_a_loss_that_is_no_number_is_read_back(tmp_path):
    stage = Run(str(tmp_path)).stage("a")
    stage.complete(stage_record("a", losses=[math.nan, 1.5]))
    assert math.isnan(stage.record().stage.losses[0])


def test_config_is_recorded_with_versions(tmp_path):
    Run(str(tmp_path)).write_config(load_config("laptop"))
    record = json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert record["config"]["seed"] == 1
    assert {"python", "ray", "transformers"} <= record["versions"].keys()


def test_differences_name_leaves():
    assert list(differences({"a": 1, "b": {"c": [1, 2]}}, {"a": 1, "b": {"c": [1, 3]}})) == [("b.c.1", 2, 3)]
    assert list(differences({"a": 1}, {"b": 2})) == [("a", 1, None), ("b", None, 2)]
    assert list(differences([1], [1, 2], "x")) == [("x", [1], [1, 2])]
    assert list(differences({"a": 1}, {"a": 1})) == []
