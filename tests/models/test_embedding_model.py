import json

import huggingface_hub
import pytest
from huggingface_hub import ModelInfo
from huggingface_hub.errors import LocalEntryNotFoundError

from app.faults import UserError
from app.models.embedding_model import describe_model


def write_model(folder, files):
    for name, value in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))


MODEL = {
    "config.json": {"hidden_size": 384},
    "modules.json": [{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Dense"}],
    "1_Pooling/config.json": {"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True},
    "2_Dense/config.json": {"in_features": 384, "out_features": 128},
    "sentence_bert_config.json": {"max_seq_length": 256},
    "config_sentence_transformers.json": {"prompts": {"query": "Q: ", "document": "", "passage": None}},
}


def test_a_model_is_described_by_its_files(tmp_path):
    write_model(tmp_path, MODEL)
    facts = describe_model(str(tmp_path))
    assert (facts.dim, facts.max_tokens, facts.prompts) == (128, 256, {"query": "Q: "})


def test_a_plain_transformer_gives_its_hidden_states(tmp_path):
    write_model(tmp_path, {"config.json": {"hidden_size": 48}})
    facts = describe_model(str(tmp_path))
    assert (facts.dim, facts.max_tokens, facts.prompts) == (48, None, {})


def test_other_files_under_the_same_path_are_another_model(tmp_path):
    write_model(tmp_path, MODEL)
    (tmp_path / "model.safetensors").write_bytes(b"12")
    before = describe_model(str(tmp_path))
    (tmp_path / "README.md").write_text("new")
    assert describe_model(str(tmp_path)) == before
    (tmp_path / "model.safetensors").write_bytes(b"123")
    assert describe_model(str(tmp_path)).files_hash != before.files_hash


@pytest.mark.parametrize("num_bytes", [10, 3_000_000, 40_000_000])
def test_retrained_weights_of_the_same_size_are_another_model(tmp_path, num_bytes):
    write_model(tmp_path, MODEL)
    hashes = set()
    for byte in (b"a", b"b"):
        (tmp_path / "model.safetensors").write_bytes(b"head" + byte * num_bytes + b"tail")
        hashes.add(describe_model(str(tmp_path)).files_hash)
        assert describe_model(str(tmp_path)).files_hash in hashes
    assert len(hashes) == 2


class HubDouble:
    """Stands for the hub with one model, of commit 0123, whose cache is a folder."""

    def __init__(self, monkeypatch, folder, names):
        self.folder, self.names, self.fault = folder, names, None
        monkeypatch.setattr(huggingface_hub, "model_info", self.model_info)
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", self.cached)
        monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", self.cached_or_none)

    def model_info(self, model, revision=None, timeout=None):
        if self.fault is not None:
            raise self.fault
        return ModelInfo(id=model, sha="0123", siblings=[{"rfilename": name} for name in self.names])

    def cached(self, model, name, revision=None):
        if (self.folder / name).exists():
            return str(self.folder / name)
        raise LocalEntryNotFoundError("cannot reach the hub")

    def cached_or_none(self, model, name, revision=None):
        return str(self.folder / name) if (self.folder / name).exists() else None


def test_a_hub_that_fails_is_not_a_file_that_is_missing(tmp_path, monkeypatch):
    folder = tmp_path / "0123"
    write_model(folder, {"config.json": {"hidden_size": 48}})
    hub = HubDouble(monkeypatch, folder, ["config.json"])
    assert (describe_model("some/model").revision, describe_model("some/model").dim) == ("0123", 48)
    hub.names = ["config.json", "modules.json"]
    with pytest.raises(
        UserError, match=r"^retrieval.model: 'some/model' can't be read \(cannot reach the hub\)"
    ):
        describe_model("some/model")
    hub.fault = ConnectionError("no route")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(UserError, match=r"^retrieval.model: .* at revision 'main' can't be loaded"):
        describe_model("some/model")
    # Offline by wish, the cache is all there is.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert (describe_model("some/model").revision, describe_model("some/model").dim) == ("0123", 48)
    (folder / "config.json").unlink()
    with pytest.raises(
        UserError, match=r"^retrieval.model: 'some/model' can't be had: the hub can't be reached"
    ):
        describe_model("some/model")


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"^retrieval.model: .* holds no config.json"):
        describe_model(str(tmp_path))
