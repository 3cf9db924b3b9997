"""Recipes, overrides and the messages for their faults."""
# ruff: noqa: E501

import os
import re
import threading

import pytest

from app.config import Config
from app.faults import UserError
from app.recipe import RECIPES_DIR, find_recipe, load_config, parse_overrides
from eval.gate import gate_of


def message(*overrides: str, recipe: str = "laptop") -> str:
    with pytest.raises(UserError) as caught:
        load_config(recipe, overrides)
    return str(caught.value)


@pytest.mark.parametrize("path", sorted(RECIPES_DIR.glob("*.yaml")), ids=lambda path: path.name)
def test_every_recipe_that_ships_is_valid(path):
    load_config(path.name)


@pytest.mark.parametrize("path", sorted(RECIPES_DIR.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_that_ships_is_a_whole_loop(path):
    config = load_config(path.name)
    assert isinstance(config, Config)
    assert config.train is not None
    assert config.serve is not None
    assert config.evaluate is not None
    # Short tasks are compared with the first model: the one that the stages start from.
    base, *others = config.serve.models.values()
    assert base.model == config.trained_model[0]
    assert [served.model for served in others] == [f"stage:{stage.name}" for stage in config.train.stages]


@pytest.mark.parametrize("path", sorted(RECIPES_DIR.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_that_ships_has_gates_at_the_lengths_of_its_stages(path):
    config = load_config(path.name)
    assert config.train is not None
    assert config.evaluate is not None
    assert config.bootstrap.gate.min_niah_percent is not None
    asked = [gate_of(config, index) for index in range(len(config.train.stages))]
    assert [gate.niah_tokens for gate in asked if gate] == [
        stage.max_seq_tokens for stage in config.train.stages
    ]
    # What the final evaluation asks is asked where the gates asked.
    assert "niah" in config.evaluate.suites
    assert config.bootstrap.gate.max_short_points_lost is None or "short" in config.evaluate.suites


def test_a_recipe_is_found_by_name_with_or_without_suffix_and_by_path(tmp_path):
    assert find_recipe("laptop") == find_recipe("laptop.yaml") == RECIPES_DIR / "laptop.yaml"
    own = tmp_path / "own.yaml"
    own.touch()
    assert find_recipe(str(own)) == own


def test_a_recipe_may_come_through_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    thread = threading.Thread(target=pipe.write_text, args=(find_recipe("laptop").read_text("utf-8"),))
    thread.start()
    assert load_config(str(pipe)) == load_config("laptop")
    thread.join()
    for nothing in (str(tmp_path), "x" * 5000):
        with pytest.raises(UserError, match="no such file"):
            find_recipe(nothing)


def test_overrides_reach_nested_settings_and_list_items():
    config = load_config(
        "laptop",
        [
            "--generator.sampling.temperature",
            "1",
            "--dataset.target_lengths.0.max_tokens=10000",
            "--seed",
            "9",
        ],
    )
    assert config.generator.sampling.temperature == 1.0
    assert config.dataset.target_lengths[0].max_tokens == 10_000
    assert config.seed == 9


def test_override_values_are_yaml_or_text():
    pairs = parse_overrides(
        ["--a", "1e-5", "--b", "null", "--c", "[1, 2]", "--d", "**/*.md", "--e", "1.5e3", "--f", "x: y: z"]
    )
    assert [value for _, value in pairs] == [1e-5, None, [1, 2], "**/*.md", 1500.0, "x: y: z"]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["--sede", "3"], "sede: 3 is given for a setting that does not exist; did you mean seed?"),
        (["--generator.samplin.top_p", "1"], "generator.samplin: {top_p} is given for a setting that does not exist; did you mean generator.sampling?"),
        (["--generator.type", "foo"], "generator.type: 'foo' is wrong; it should be one of vllm, openai"),
        (["--generator", "{model: x}"], "generator.type: None is wrong; it should be one of vllm, openai"),
        (["--generator.max_model_tokens", "many"], "generator.max_model_tokens: 'many' is wrong; it should be a valid integer"),
        (["--corpus", "3"], "corpus: 3 is wrong; it should be a mapping of settings"),
        (["--corpus.sources", "[]"], "corpus.sources: [] is empty; name at least one `path`"),
        (["--corpus.sources.5.path", "x"], "--corpus.sources.5.path: the recipe's list has 1 item(s); count from 0"),
        (["--seed.x", "3"], "--seed.x: seed is 1, which has no fields; drop the rest"),
        (["--retrieval.dtype", "int3"], "retrieval.dtype: 'int3' is wrong; it should be 'float32', 'bfloat16' or 'float16'"),
        (["--evaluate.url", "http://[::1/v1"], "evaluate.url: 'http://[::1/v1' is not a URL; use for example"),
        (["--evaluate.url", "http:///v1"], "evaluate.url: 'http:///v1' is not a URL; use for example"),
        (["--evaluate.url", "http://h:x/v1"], "evaluate.url: 'http://h:x/v1' is not a URL; use for example"),
        (["--seed", "1" * 5000], "seed: '1111"),
        (["--seed", "2024-13-45"], "seed: '2024-13-45' is wrong; it should be a valid integer"),
        (["--corpus.sources.²", "x"], "--corpus.sources.²: the recipe's list has 1 item(s); count from 0"),
        (["--run_dir", "3"], "run_dir: 3 is a number; quote it twice to make it text: --run_dir '\"3\"'"),
        (["--seed", "true"], "seed: True is wrong; it should be a valid integer"),
        (["--agent.chunk_tokens", "40000"], "agent.chunk_tokens 40000 does not fit generator.max_model_tokens 4096; at most"),
        (["--run_dir", "1.10"], "run_dir: 1.10 is a number; quote it twice to make it text: --run_dir '\"1.10\"'"),
        (["--run_dir", "false"], "run_dir: false is true or false; quote it twice to make it text: --run_dir '\"false\"'"),
        (["--seed", "0123"], "seed: '0123' is wrong; it should be a valid integer"),
        (["--corpus.dedup.near", "yes"], "corpus.dedup.near: 'yes' is wrong; it should be true or false"),
        (["--corpus.dedup", "{near: true, near: false}"], "--corpus.dedup: near is there twice, in lines 1 and 1; put"),
        (["--corpus.sources", "[{pth: x}]"], "corpus.sources.0.pth: 'x' is given for a setting that does not exist; did you mean corpus.sources.0.path?"),
        (["--dataset.target_lengths.0.max_tokens", "100"], "dataset.target_lengths.0: max_tokens 100 is below min_tokens 9800"),
        (["--train.stages.0.mix", "{other: 1.0}"], "train: stages.10k.mix names other, which is not in train.sources"),
        (["--serve.models", "{}"], "serve.models: {} is empty; name at least one model"),
        (["--seed"], "--seed: has no value; overrides look like --section.field VALUE"),
        (["seed"], "seed: not an option; overrides look like --section.field VALUE"),
    ],
)  # fmt: skip
def test_a_fault_names_field_value_and_remedy(overrides, expected):
    assert message(*overrides).startswith(expected)


def test_a_missing_setting_is_named(tmp_path):
    path = tmp_path / "part.yaml"
    path.write_text("corpus: {sources: [{path: x}]}\n")
    assert message(recipe=str(path)).startswith(
        "run_dir: is missing and has no default; give --run_dir VALUE"
    )


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "\xff\xfe"])
def test_a_file_that_is_no_recipe_is_named(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_bytes(text.encode("latin-1"))
    found = message(recipe=str(path))
    assert found.startswith(f"--config {path}: ")
    assert "\n" not in found


@pytest.mark.parametrize("text", ["a: &a [*a]", "ray: &r\n  inner: {x: *r}"])
def test_a_value_inside_of_itself_is_refused(tmp_path, text):
    path = tmp_path / "ring.yaml"
    path.write_text(text)
    found = message(recipe=str(path))
    assert re.match(rf"--config {path}: \*\w in line \d stands inside of what it stands for; ", found)


def test_aliases_of_aliases_are_told_in_a_moment(tmp_path):
    path = tmp_path / "bomb.yaml"
    levels = [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]" for i in range(1, 12)]
    path.write_text("\n".join(["run_dir: a", "x0: &x0 1", *levels]))
    assert message(recipe=str(path)).startswith("x0: ")


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf"])
@pytest.mark.parametrize("field", ["train.stages.0.learning_rate", "generator.sampling.temperature"])
def test_infinity_and_nan_are_no_settings(field, value):
    assert message(f"--{field}", value).startswith(f"{field}: ")


@pytest.mark.parametrize(
    "field",
    ["run_dir", "train.model", "plan.json_path", "serve.models.base.model", "evaluate.niah.haystack"],
)
def test_a_login_is_refused_wherever_a_place_is_named_and_is_not_shown(field):
    found = message(f"--{field}", "s3://AKIA:secret@bucket/x")
    assert found.startswith(f"{field}: s3://… holds a login")
    assert "secret" not in found


def test_several_faults_are_counted():
    assert message("--seed", "x", "--run_dir", "null").endswith("(and 1 more)")


def test_messages_stay_short():
    assert (
        len(
            message("--generator.engine_args", str({f"option_{i}": i for i in range(99)} | {"hf_token": "x"}))
        )
        < 250
    )


@pytest.mark.parametrize("text", ["0123", "no", "off", "12:30", "0x1F", "2024-01-01", "1.2.3", "1:20:30"])
def test_a_text_is_what_was_written(text):
    assert load_config("laptop", [f"--run_dir={text}"]).run_dir == text


def test_numbers_may_have_groups_of_digits():
    assert [
        value for _, value in parse_overrides(["--a", "1_000", "--b", "-5", "--c", "0", "--d", "+.5"])
    ] == [1000, -5, 0, 0.5]


def test_a_section_that_is_there_twice_is_refused_with_both_lines(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("run_dir: a\ncorpus:\n  sources: [{path: x}]\nseed: 3\ncorpus:\n  passage_tokens: 64\n")
    assert message(recipe=str(path)) == (
        f"--config {path}: corpus is there twice, in lines 2 and 5; put all of it into one"
    )


def test_a_hint_quotes_what_the_recipe_says(tmp_path):
    path = tmp_path / "number.yaml"
    path.write_text("run_dir: 1.50\ncorpus: {sources: [{path: x}]}\n")
    assert "--run_dir '\"1.50\"'" in message(recipe=str(path))
