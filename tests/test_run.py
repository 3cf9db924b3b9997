import json

import pytest

from app.faults import UserError
from app.recipe import load_config
from app.run import Run, differences


def test_an_artefact_goes_on_with_the_same_settings(tmp_path):
    artefact = Run(str(tmp_path)).corpus
    artefact.claim({"a": 1, "b": [{"c": 2}]})
    artefact.folder.write_bytes("part", b"half done")
    Run(str(tmp_path)).corpus.claim({"a": 1, "b": [{"c": 2}]})
    assert artefact.folder.read_bytes("part") == b"half done"


def test_an_artefact_refuses_other_settings_and_names_the_field(tmp_path):
    Run(str(tmp_path)).corpus.claim({"a": 1, "b": [{"c": 2}]})
    with pytest.raises(
        UserError, match=r"^b\.0\.c: .* was made with 2, now it is 3; set it back, or give another"
    ):
        Run(str(tmp_path)).corpus.claim({"a": 1, "b": [{"c": 3}]})


def test_complete_is_declared_with_a_record(tmp_path):
    artefact = Run(str(tmp_path)).index
    assert not artefact.is_complete()
    artefact.complete({"num_passages": 3})
    assert artefact.is_complete()
    assert artefact.record() == {"num_passages": 3}


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
