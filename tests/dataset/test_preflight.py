"""Checks before a job starts: each fault is one line with field, value and remedy."""
# ruff: noqa: E501

import gzip
import json
import re

import pytest

from app import checks
from app.corpus import size
from app.corpus.size import SAMPLE_BYTES, CorpusSize, holds_at_least, measure_corpus
from app.corpus.sources import list_files
from app.corpus.streams import StorageError
from app.dataset.preflight import check_synthesis, check_targets_fit, fillable_tokens
from app.faults import UserError
from app.models import small_files
from app.models.files import ModelFiles, find_model
from app.recipe import load_config
from app.retrieval.preflight import check_index, check_index_factory
from app.storage import Folder
from tests.retrieval.fake_corpus import write_corpus


class WordCounter:
    """A tokenizer whose tokens are words."""

    def count(self, text: str) -> int:
        return len(text.split())


@pytest.fixture
def models(tmp_path):
    """Folders with a model's small files."""
    generator = {"config.json": {"max_position_embeddings": 8192, "model_type": "llama", "hidden_size": 64}}
    embedder = {
        "config.json": {"max_position_embeddings": 514, "model_type": "xlm-roberta", "hidden_size": 384}
    }
    for name, files in (("generator", generator), ("embedder", embedder)):
        folder = tmp_path / name
        folder.mkdir()
        for file, content in files.items():
            (folder / file).write_text(json.dumps(content))
        (folder / "tokenizer.json").touch()
    (tmp_path / "generator" / "chat_template.jinja").write_text("{{ messages }}")
    return tmp_path


@pytest.fixture
def config(models):
    """Settings that pass, with overrides."""

    def load(*overrides: str):
        own = ["--run_dir", str(models / "run")]
        # Large enough that nobody counts it with the generator's tokenizer, which is none.
        own += ["--corpus.sources", '[{"path": "bundled:public_domain_sample"}]']
        own += ["--generator.model", str(models / "generator"), "--retrieval.model", str(models / "embedder")]
        return load_config("laptop", [*own, *overrides])

    return load


def fault(check, settings) -> str:
    with pytest.raises(UserError) as caught:
        check(settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_good_settings_pass(config):
    check_synthesis(config())
    check_index(config())


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["--corpus.sources.0.path", "/not/there"], "corpus.sources.0.path: '/not/there' "),
        (["--generator.model", "/not/there"], "generator.model: '/not/there' does not exist; give a folder"),
        (["--generator.model", "smollm"], "generator.model: 'smollm' is neither a folder nor a hub name; give"),
        (["--generator.model", "bundled:gpt"], "generator.model: 'bundled:gpt' is not bundled; give one of bundled:smol"),
        (["--retrieval.model", "bundled:gpt"], "retrieval.model: 'bundled:gpt' is not bundled; give one of"),
        (["--dataset.tokenizer", "/not/there"], "dataset.tokenizer: '/not/there' does not exist; give a folder"),
        (["--generator.max_model_tokens", "8193"], "generator.max_model_tokens: 8193 is more than"),
        (["--generator.engine_args", "{max_num_seq: 3}"], "generator.engine_args: vLLM has no argument"),
        (["--retrieval.embedding_tokens", "513"], "retrieval.embedding_tokens: 513 is more than"),
        (["--retrieval.index_factory", "Flt"], "retrieval.index_factory: FAISS can't build 'Flt' for vectors of 384"),
        (["--ray.num_cpus", "1"], "ray.num_cpus: 1 is too few for the actors"),
        (["--dataset.publish.repo", "me/x", "--dataset.publish.token_env", "NO_SUCH"], "dataset.publish.token_env: NO_SUCH"),
    ],
)  # fmt: skip
def test_a_fault_names_field_value_and_remedy(config, overrides, expected):
    assert fault(check_synthesis, config(*overrides)).startswith(expected)


def test_a_model_without_a_chat_template_cannot_generate(config, models):
    (models / "generator" / "chat_template.jinja").unlink()
    assert "has no chat template; give an instruct model" in fault(check_synthesis, config())
    (models / "generator" / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    check_synthesis(config())


def test_a_template_that_refuses_the_system_role_is_named(config, models):
    # As Gemma 2's.
    refuses = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    (models / "generator" / "chat_template.jinja").write_text(refuses)
    expected = "generator.model: the chat template of '.*' does not accept a system, user, assistant chat "
    assert re.match(
        expected + r"\(System role not supported\); give a model", fault(check_synthesis, config())
    )
    assert ModelFiles(None, True, refuses).refusal_of(("user", "assistant")) is None
    (models / "generator" / "chat_template.jinja").unlink()
    settings = {"chat_template": [{"name": "default", "template": refuses}]}
    (models / "generator" / "tokenizer_config.json").write_text(json.dumps(settings))
    assert "System role not supported" in fault(check_synthesis, config())


def test_a_model_that_cannot_be_read_is_named(monkeypatch):
    def fail(uri):
        raise OSError("AWS Error NETWORK_CONNECTION\nduring HeadBucket")

    monkeypatch.setattr(small_files, "Folder", fail)
    expected = r"^f: 's3://bucket/m' can't be read \(AWS Error NETWORK_CONNECTION during HeadBucket\); give"
    with pytest.raises(UserError, match=expected):
        find_model("f", "s3://bucket/m")


def test_the_run_dir_is_tried_and_left_as_it_was(config, tmp_path):
    check_index(config())
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").touch()
    check_index(config())
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["config.json"]
    (tmp_path / "file").touch()
    refused = config("--run_dir", str(tmp_path / "file" / "run"))
    for check in (check_index, check_synthesis):
        assert re.match(
            r"run_dir: '.*/file/run' can't be written to \(.*\); give a folder", fault(check, refused)
        )


def test_a_run_dir_with_a_question_mark_is_refused(config, tmp_path):
    refused = config("--run_dir", str(tmp_path / "what?"))
    for check in (check_index, check_synthesis):
        assert re.match(
            r"run_dir: '.*/what\?' has a question mark, .*; give a name without one", fault(check, refused)
        )
    assert not (tmp_path / "what?").exists()


def test_a_ray_of_our_own_needs_the_cpus_and_gpus_that_actors_hold(config, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(checks, "has_gpu", lambda: False)
    many = config("--ray.num_cpus", "null", "--pipeline.cpus_per_actor", "100000")
    assert re.match(r"ray\.num_cpus: \d+ \(this machine's\) is too few", fault(check_index, many))
    wants_gpu = config("--pipeline.gpus_per_actor", "1")
    assert fault(check_synthesis, wants_gpu).startswith(
        "pipeline.gpus_per_actor: 1 is requested, but this machine"
    )
    check_index(wants_gpu)
    embeds = config("--retrieval.gpus_per_embed_actor", "0.5")
    assert fault(check_index, embeds).startswith("retrieval.gpus_per_embed_actor: 0.5 is requested")
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    for elsewhere in (many, wants_gpu, embeds):
        check_synthesis(elsewhere)


def test_a_ray_of_our_own_has_no_labelled_nodes(config, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    retrieves = config("--retrieval.node_labels", "{pool: a}")
    assert fault(check_index, retrieves).startswith(
        "retrieval.node_labels: {'pool': 'a'} is requested, but the local Ray"
    )
    generates = config("--pipeline.node_labels", "{pool: a}")
    assert fault(check_synthesis, generates).startswith("pipeline.node_labels: {'pool': 'a'} is requested")
    check_index(generates)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    for elsewhere in (retrieves, generates):
        check_synthesis(elsewhere)


def test_evaluation_text_must_be_there(config):
    settings = config("--corpus.decontamination.paths", "[/not/there]")
    assert fault(check_index, settings).startswith(
        "corpus.decontamination.paths.0: '/not/there' is not there"
    )


def test_an_input_file_that_cannot_be_read_is_named(config, tmp_path, monkeypatch, word_tokenizer):
    # It opens, and fails to be read.
    broken = ["--corpus.sources.0.path", "/proc/self/mem", "--corpus.sources.0.format", "text"]
    assert fault(check_index, config(*broken)).startswith(
        "corpus.sources.0.path: '/proc/self/mem' can't be read ("
    )
    (tmp_path / "c.txt").write_text("word")

    def measure(files, *_):
        raise StorageError(files[0], "gone")

    monkeypatch.setattr(size, "measure_corpus", measure)
    settings = config("--corpus.sources.0.path", str(tmp_path / "c.txt"))
    assert re.match(
        r"corpus\.sources\.0\.path: '.*c\.txt' can't be read \(.*gone\)", fault(check_synthesis, settings)
    )


def test_an_openai_generator_needs_its_key_and_counts_with_its_tokenizer(config, models, monkeypatch):
    endpoint = {"type": "openai", "base_url": "http://h/v1", "model": "m", "max_model_tokens": 4096}
    endpoint |= {"tokenizer": str(models / "generator"), "api_key_env": "LONGSTRAP_TEST_KEY"}
    monkeypatch.delenv("LONGSTRAP_TEST_KEY", raising=False)
    settings = config("--generator", json.dumps(endpoint))
    assert fault(check_synthesis, settings).startswith("generator.api_key_env: LONGSTRAP_TEST_KEY is not set")
    check_index(settings)
    monkeypatch.setenv("LONGSTRAP_TEST_KEY", "any")
    check_synthesis(settings)
    settings = config("--generator", json.dumps(endpoint | {"tokenizer": "/not/there"}))
    assert fault(check_synthesis, settings).startswith("generator.tokenizer: '/not/there' does not exist")


def test_a_target_beyond_the_corpus_is_refused_with_what_it_holds():
    settings = load_config("laptop")
    longest = settings.dataset.target_lengths[0].max_tokens
    check_targets_fit(settings, longest)
    with pytest.raises(UserError) as caught:
        check_targets_fit(settings, longest - 1)
    expected = f"dataset.target_lengths.0.max_tokens: {longest} is beyond the whole corpus"
    assert str(caught.value).startswith(expected)
    assert f"at most {longest - 1}" in str(caught.value)


def test_targets_of_another_tokenizer_have_a_tolerance_and_none_are_needed_without_long_inputs():
    longest = load_config("laptop").dataset.target_lengths[0].max_tokens
    other = load_config("laptop", ["--dataset.tokenizer", "an/other"])
    check_targets_fit(other, longest // 2)
    with pytest.raises(UserError, match=r"^dataset\.target_lengths\.0\.max_tokens"):
        check_targets_fit(other, longest // 2 - 1)
    none = ["--dataset.num_long_input_seeds", "0", "--dataset.num_structure_seeds", "0"]
    check_targets_fit(load_config("laptop", none), 1)


@pytest.fixture
def word_tokenizer(models):
    """Gives the generator's folder a tokenizer whose tokens are words."""
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers import models as kinds
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(kinds.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(models / "generator")


def test_a_job_whose_targets_the_corpus_cannot_fill_does_not_start(config, tmp_path, word_tokenizer):
    (tmp_path / "c.txt").write_text("word " * 8000)
    path = ["--corpus.sources.0.path", str(tmp_path / "c.txt"), "--agent.document_tokens", "8000"]
    path += ["--dataset.target_lengths.0.min_tokens", "7000"]
    check_synthesis(config(*path, "--dataset.target_lengths.0.max_tokens", "8000"))
    settings = config(*path, "--dataset.target_lengths.0.max_tokens", "8001")
    assert re.search(
        r"8001 is beyond the whole corpus, .* agent.document_tokens 8000 each; at most 8000, or give more documents",
        fault(check_synthesis, settings),
    )
    check_index(settings)
    none = ["--dataset.num_long_input_seeds", "0", "--dataset.num_structure_seeds", "0"]
    check_synthesis(config(*path, "--dataset.target_lengths.0.max_tokens", "8001", *none))


def test_a_document_fills_a_context_with_what_may_be_taken_of_it_alone(config, tmp_path, word_tokenizer):
    rows = [json.dumps({"title": f"Report {i}", "text": "word " * 6000}) for i in range(20)]
    (tmp_path / "c.jsonl").write_text("\n".join(rows))
    path = ["--corpus.sources.0.path", str(tmp_path / "c.jsonl"), "--agent.document_tokens", "1024"]
    settings = config(*path, "--dataset.target_lengths.0.max_tokens", "30000")
    assert "at most 20480, or give more documents, or raise agent.document_tokens" in fault(
        check_synthesis, settings
    )
    check_synthesis(config(*path, "--dataset.target_lengths.0.max_tokens", "20480"))


def test_documents_of_a_finished_corpus_count_up_to_what_may_be_taken_of_them(tmp_path):
    corpus = Folder(str(tmp_path))
    write_corpus(corpus, [[("long", ["word " * 3000]), ("short", ["word " * 10])], [("third", ["one two"])]])
    config = load_config("laptop", ["--agent.document_tokens", "1024"])
    assert fillable_tokens(config, corpus) == 1024 + 10 + 2


def test_the_index_needs_its_documents(config):
    missing = config("--corpus.sources.0.path", "/not/there")
    assert fault(check_index, missing).startswith("corpus.sources.0.path: '/not/there' ")


def corpus(config, path):
    return list_files(config("--corpus.sources.0.path", str(path)).corpus.sources)


def test_a_small_corpus_is_counted_exactly_gzip_included(config, tmp_path):
    rows = "".join(json.dumps({"text": "one two three", "title": "t"}) + "\n" for _ in range(50))
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(rows.encode()))
    measured = measure_corpus(corpus(config, tmp_path / "c.jsonl.gz"), WordCounter(), 10**6)
    assert measured == CorpusSize(150, is_exact=True)
    assert measured.surely_below(151)
    assert not measured.surely_below(150)


def test_a_large_corpus_is_estimated_from_its_start_and_given_a_margin(config, tmp_path):
    (tmp_path / "c.txt").write_text("word " * (SAMPLE_BYTES // 5 + 10))
    (tmp_path / "d.txt").write_text("word " * (SAMPLE_BYTES // 5))
    measured = measure_corpus(corpus(config, tmp_path / "*.txt"), WordCounter(), 10**8)
    assert not measured.is_exact
    assert measured.num_tokens == pytest.approx(2 * SAMPLE_BYTES / 5, rel=0.01)
    assert not measured.surely_below(int(measured.num_tokens * 1.2))
    assert measured.surely_below(int(measured.num_tokens * 1.3))


def test_large_files_need_not_be_opened(config, tmp_path):
    (tmp_path / "c.txt").write_text("x" * 16_000)
    files = corpus(config, tmp_path / "c.txt")
    assert holds_at_least(files, 1000)
    assert not holds_at_least(files, 1001)


def test_a_corpus_without_a_document_is_named_with_its_first_fault(config, tmp_path):
    (tmp_path / "c.jsonl").write_text("{broken\n")
    with pytest.raises(
        UserError, match=r"^corpus\.sources: .*c\.jsonl.* no document that can be read; .*:1 is: bad"
    ):
        measure_corpus(corpus(config, tmp_path / "c.jsonl"), WordCounter(), 10**6)


@pytest.mark.parametrize(
    ("model_config", "expected"),
    [
        ({"max_position_embeddings": 4096}, 4096),
        ({"text_config": {"max_position_embeddings": 4096}}, 4096),
        ({"max_position_embeddings": 131072, "rope_parameters": {"rope_type": "llama3", "factor": 8.0}}, 131072),
        ({"max_position_embeddings": 32768, "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}}, 131072),
        ({"max_position_embeddings": 131072, "rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}}, 131072),
        ({"max_position_embeddings": 2048, "rope_scaling": {"type": "linear", "factor": 2}}, 4096),
        ({"n_positions": 1024}, None),
    ],
)  # fmt: skip
def test_what_a_model_reads_follows_its_rope_scaling(model_config, expected):
    assert ModelFiles(model_config, None).max_tokens == expected


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        (["--generator.model", "nonexist/model"], "generator.model"),
        (["--retrieval.model", "nonexist/model"], "retrieval.model"),
        (["--dataset.tokenizer", "nonexist/model"], "dataset.tokenizer"),
    ],
)
def test_a_model_that_only_a_hub_out_of_reach_may_have_is_refused(config, monkeypatch, overrides, field):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    found = fault(check_synthesis, config(*overrides))
    assert found.startswith(f"{field}: 'nonexist/model' can't be had: the hub can't be reached")
    assert found.endswith("and the model is not in the cache; give a folder")


def test_a_model_without_a_tokenizer_is_refused(config, models):
    (models / "embedder" / "tokenizer.json").unlink()
    assert re.match("retrieval.model: '.*' holds no tokenizer; put its", fault(check_index, config()))
    (models / "embedder" / "sentencepiece.bpe.model").touch()
    check_index(config())


@pytest.mark.parametrize("broken", ["config.json", "tokenizer_config.json"])
def test_a_model_whose_files_are_broken_is_named(config, models, broken):
    (models / "generator" / broken).write_bytes(b'{"half')
    assert re.match("generator.model: '.*' can't be read ", fault(check_index, config()))
    (models / "generator" / broken).write_bytes(b"[]")
    assert re.match("generator.model: '.*' can't be read ", fault(check_index, config()))


@pytest.mark.parametrize(
    ("factory", "dim"), [("Flat", None), ("IVF16,PQ64", 1024), ("IVF16_HNSW8,PQ32", None), ("PQ48", None)]
)
def test_index_factories_that_faiss_makes(factory, dim):
    check_index_factory(factory, dim)


def test_an_index_factory_must_fit_the_vectors():
    with pytest.raises(UserError, match="FAISS can't build 'PQ64' for vectors of 100 numbers"):
        check_index_factory("PQ64", 100)
