import json

import httpx
import huggingface_hub
import numpy as np
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

from app.faults import UserError
from app.retrieval.embedder import Embedder, Prefixes, check_embedding_tokens, resolve_prefixes
from app.retrieval.model_facts import describe_model
from tests.retrieval.fake_corpus import BagOfWords

E5 = Prefixes("query: ", "passage: ")
INSTRUCT = Prefixes(
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: ", ""
)


@pytest.mark.parametrize(
    ("model", "prefixes"),
    [
        ("intfloat/e5-base-v2", E5),
        ("intfloat/multilingual-e5-small", E5),
        ("bundled:multilingual-e5-small", E5),
        ("s3://bucket/models/e5-large/", E5),
        ("/models/e5_small", E5),
        ("intfloat/e5-mistral-7b-instruct", INSTRUCT),
        ("intfloat/multilingual-e5-large-instruct", INSTRUCT),
        ("/models/e5-folder/all-MiniLM-L6-v2", Prefixes("", "")),
        ("some/code5-model", Prefixes("", "")),
    ],
)
def test_prefixes_go_by_the_model(model, prefixes):
    assert resolve_prefixes(model, {}) == prefixes


def test_prefixes_of_other_models_are_their_own_prompts():
    assert resolve_prefixes("a/b", {"query": "Q: ", "document": "D: "}) == Prefixes("Q: ", "D: ")
    assert resolve_prefixes("a/b", {"document": "D: ", "passage": "P: "}) == Prefixes("", "P: ")


def test_prefixes_in_the_settings_win_even_when_empty():
    assert resolve_prefixes("intfloat/e5-base", {}, "ask: ", "") == Prefixes("ask: ", "")
    assert resolve_prefixes("intfloat/e5-base", {}, "", None) == Prefixes("", "passage: ")


def test_each_text_is_sent_with_its_prefix_and_comes_back_with_length_one():
    encoder = BagOfWords(["cat", "dog"])
    embedder = Embedder(encoder, E5, batch_size=7)
    passages = embedder.embed_passages(["cat", "dog dog"])
    queries = embedder.embed_queries(["cat", "dog"])
    # A query is encoded without company, so that its vector does not depend on it.
    assert encoder.calls == [("passage: ", 7, ["cat", "dog dog"]), ("query: ", 1, ["cat", "dog"])]
    assert passages.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm([*passages, *queries], axis=1), 1.0, rtol=1e-6)
    assert np.argmax(queries @ passages.T, axis=1).tolist() == [0, 1]


def test_a_vector_without_direction_is_not_passed_on():
    class Broken:
        def encode(self, inputs, *, prompt, batch_size, show_progress_bar):
            return np.full((len(inputs), 3), np.nan)

    with pytest.raises(AssertionError, match="without a direction"):
        Embedder(Broken(), E5, batch_size=1).embed_passages(["x"])


def test_more_tokens_than_the_model_reads_are_refused(settings):
    check_embedding_tokens(settings(embedding_tokens=512), 512)
    check_embedding_tokens(settings(embedding_tokens=512), None)
    with pytest.raises(UserError, match=r"^retrieval.embedding_tokens: 513 is more .* at most 512$"):
        check_embedding_tokens(settings(embedding_tokens=513), 512)


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


def hub_double(folder, missing):
    """Stands for `hf_hub_download` of a model whose other files raise `missing`."""

    def download(model, name, revision=None):
        if (folder / name).exists():
            return str(folder / name)
        raise missing

    return download


def test_a_hub_that_fails_is_not_a_file_that_is_missing(tmp_path, monkeypatch):
    request = httpx.Request("GET", "https://hub")
    absent = RemoteEntryNotFoundError("404", response=httpx.Response(404, request=request))
    outage = LocalEntryNotFoundError("cannot reach the hub")
    folder = tmp_path / "0123"
    write_model(folder, {"config.json": {"hidden_size": 48}})
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub_double(folder, absent))
    assert describe_model("some/model").revision == "0123"
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub_double(folder, outage))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(UserError, match=r"^retrieval.model: .* at revision '0123' can't be loaded"):
        describe_model("some/model")
    # Offline by wish, the cache is all there is.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert describe_model("some/model").dim == 48
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"^retrieval.model: .* at revision 'main' can't be loaded"):
        describe_model("some/model")


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"^retrieval.model: .* has no config.json"):
        describe_model(str(tmp_path))
