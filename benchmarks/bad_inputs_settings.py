"""Bad recipes, settings and command lines: each must be refused in a line that names its place, or mean what it says."""
# ruff: noqa: E501

import contextlib
import io
import os
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from app.cli import USER_ERROR, main
from app.faults import UserError
from app.recipe import load_config
from benchmarks.bad_inputs_judging import Case, Line

RECIPE = "laptop"
JUST_VALUES = "run_dir: runs/x\nseed: 1\n"
LOGIN = "s3://AKIAEXAMPLE:secret@bucket/path"


def settings_cases(folder: Path, shared: Path | None) -> Iterator[Case]:
    """All cases of settings.

    Args:
        folder: Takes the recipes.
        shared: Kept inputs, where there are any.
    """
    for number, (text, field, value) in enumerate(_recipes()):
        yield Case(f"recipe {text[:50]!r}", _loading(folder / f"recipe-{number}.yaml", text, field), value)
    for overrides, expected in _overrides():
        yield Case(f"settings {' '.join(overrides)[:80]}", _overriding(overrides), expected)
    for field, kind in sorted(_leaves(load_config(RECIPE))):
        for value in _wrong_values(kind):
            yield Case(f"--{field} {value}", _overriding((f"--{field}", value)), Line(f"{field}: "))
    for arguments, start in _command_lines():
        yield Case(f"longstrap {' '.join(arguments)[:80]}", _commanding(arguments), Line(start))
    if shared is not None:
        path = shared / "cases" / "input" / "recipe_names_a_section_twice" / "recipe.yaml"
        twice = f"--config {path}: corpus is there twice, in lines 2 and 8"
        yield Case("kept: a section twice", lambda: load_config(str(path)), Line(twice))


def _recipes() -> Iterator[tuple[str | bytes, str, Any]]:
    """A recipe's text, a setting, and its value or the line that refuses the recipe."""
    refused = Line("--config ")
    for text in (
        "", "[]", "5", "text", "null", "a: [", "a: b: c", "\tseed: 1", "seed: 1\nseed: 2", "a: &a [*a]", "!!python/object:os.system x", "? [a]\n: b",
        "seed: 1\n---\nseed: 2", "%YAML 9.9\n---\na: 1", "seed: *nothing", "{seed: 1, seed: 2}", "ray: {a: 1, b: 2, a: 3}", "seed: !!int x",
        b"\xff\xfes\x00", b"\x00", b"run_dir: \xff", "seed: '", "- a\n- b", "a: !!binary x", "a: 1\n b: 2",
    ):  # fmt: skip
        yield text, "", refused
    for written, value in {
        "no": "no", "yes": "yes", "on": "on", "0123": "0123", "12:30": "12:30", "0x1f": "0x1f", "1_x": "1_x", "2001-01-01": "2001-01-01", "'5'": "5", "1.2.3": "1.2.3",
        "\u4e2d\u6587": "\u4e2d\u6587", "'a # b'": "a # b", "y": "y", "=": "=", "0o17": "0o17", "!!str 5": "5", "a\u0301": "a\u0301",
    }.items():  # fmt: skip
        yield f"run_dir: {written}\n", "run_dir", value
    for written in ("5", "true", "1.5", "null", "~", "", "[a]", "{a: b}", "1e5", ".nan"):
        yield f"run_dir: {written}\n", "", Line("run_dir: ")
    yield f"\ufeff{JUST_VALUES}", "seed", 1
    yield JUST_VALUES.replace("\n", "\r\n"), "seed", 1
    yield "run_dir: a\nseed: 1_000\n", "seed", 1000
    yield "run_dir: a\nseed: -0\n", "seed", 0
    yield "run_dir: a\nseed: 2001-02-30\n", "", Line("seed: ")
    yield "x: &x {num_cpus: 2}\nrun_dir: a\n", "", Line("x: ")
    yield "run_dir: a\nray: &r {num_cpus: 2}\nprogress: {<<: *r}\n", "", Line("progress.num_cpus: ")


def _overrides() -> Iterator[tuple[tuple[str, ...], Any]]:
    for line, start in (
        ("--nothing 1", "nothing: "), ("--corpus.sorces x", "corpus.sorces: "), ("--corpus.sources.5.path x", "--corpus.sources.5.path: "), ("--corpus.sources.x.path y", "--corpus.sources.x.path: "),
        ("--seed.x 1", "--seed.x: "), ("--corpus.sources []", "corpus.sources: "), ("--generator.type local", "generator.type: "), ("--generator.base_url http://x/v1", "generator.base_url: "),
        ("--train.stages []", "train.stages: "), ("--train.stages.0.mix {}", "train.stages.0"), ("--train.stages.0.mix {other: 1}", "train: "), ("--train.stages.0.batch_tokens 7", "train.stages.0: "),
        ("--train.stages.0.num_tokens 5", "train.stages.0: "), ("--train.stages.0.name a/b", "train.stages.0.name: "), ("--train.stages.0.name ..", "train.stages.0.name: "), ("--serve.models {}", "serve.models: "),
        ("--serve.models.a/../b.model x", "serve.models.a/"), ("--serve.port 0", "serve.port: "), ("--serve.port 99999", "serve.port: "), ("--serve.models.base.engine_args {model: x}", "serve.models.base.engine_args: "),
        ("--serve.models.base.engine_args {hf_token: x}", "serve.models.base.engine_args: "), ("--serve.models {m: {model: x, beyond_limit: true}}", "serve.models.m: "), ("--serve.models {m: {model: x, min_replicas: 3}}", "serve.models.m: "),
        ("--evaluate.niah.lengths_tokens []", "evaluate.niah.lengths_tokens: "), ("--evaluate.niah.lengths_tokens [4096,4096]", "evaluate.niah.lengths_tokens: "), ("--evaluate.niah.depths_percent [101]", "evaluate.niah.depths_percent.0: "),
        ("--evaluate.niah.question {nothing}", "evaluate.niah"), ("--evaluate.niah.needles ['{keys}']", "evaluate.niah"), ("--evaluate.suites [nia]", "evaluate.suites.0: "), ("--evaluate.suites []", "evaluate.suites: "),
        ("--evaluate.url example.org", "evaluate.url: "), ("--evaluate.url http://u:p@h/v1", "evaluate.url: "), ("--evaluate.url http://h/v1?key=x", "evaluate.url: "), ("--ray.temp_dir tmp", "ray.temp_dir: "),
        (f"--ray.temp_dir /{'x' * 60}", "ray.temp_dir: "), ("--agent.task_weights {nothing: 1}", "agent.task_weights: "), ("--agent.chunk_tokens 9000", "agent.chunk_tokens "), ("--corpus.passage_tokens 7", "corpus.passage_tokens: "),
        ("--corpus.dedup.threshold 0", "corpus.dedup.threshold: "), ("--dataset.target_lengths []", "dataset.target_lengths: "), ("--dataset.target_lengths [{min_tokens: 9, max_tokens: 8}]", "dataset.target_lengths"),
        ("--train.num_workers 0", "train.num_workers: "), ("--train.min_workers 4", "train: "), ("--train.sources {a: {path: x, kind: structure}}", "train.sources.a: "), ("--train.trackers [mlflow]", "train.trackers.0: "),
        ("--train.stages.0.rope_theta magic", "train.stages.0.rope_theta"), ("--train.optimizer.beta1 1", "train.optimizer.beta1: "), ("seed 1", "seed: "), ("--seed", "--seed: "), ("-- 1", "--: "),
    ):  # fmt: skip
        yield tuple(line.split(" ", 1)), Line(start)
    fields = "run_dir", "corpus.sources.0.path", "generator.model", "retrieval.model", "train.model"
    for field in (*fields, "serve.models.base.model", "evaluate.niah.haystack"):
        yield (f"--{field}", LOGIN), Line(f"{field}: s3://… holds a login")
    for field in ("train.stages.0.learning_rate", "generator.call_timeout_sec", "serve.request_timeout_sec", "generator.sampling.temperature", "train.optimizer.weight_decay", "train.optimizer.max_grad_norm", "corpus.max_reject_share"):  # fmt: skip
        for value in (".nan", ".inf", "-.inf", "1e999", "-1", "1.0.0"):
            yield (f"--{field}", value), Line(f"{field}: ")


def _leaves(section: BaseModel, before: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names of the single settings of a recipe, and their kind."""
    for name, field in type(section).model_fields.items():
        value, place = getattr(section, name), f"{before}{name}"
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{place}.")
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            yield from _leaves(value[0], f"{place}.0.")
        elif place not in ("generator.type", "train.stages.0.rope_theta"):
            yield place, _kind_of(field.annotation)


def _kind_of(annotation: Any) -> str:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kinds = [_kind_of(inner) for inner in typing.get_args(annotation) if inner is not type(None)]
        return kinds[0]
    if typing.get_origin(annotation) is typing.Annotated:
        return _kind_of(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) is typing.Literal:
        return "choice"
    return annotation.__name__ if isinstance(annotation, type) else str(typing.get_origin(annotation))


def _wrong_values(kind: str) -> Sequence[str]:
    """What a setting of a kind cannot be."""
    return {
        "int": ("{a: 1}", "1.5"), "float": ("{a: 1}", "many"), "bool": ("{a: 1}", "yes"), "str": ("{a: 1}", "5"), "choice": ("{a: 1}", "nothing_such"),
    }.get(kind, ("5",))  # fmt: skip


def _command_lines() -> Iterator[tuple[tuple[str, ...], str]]:
    for verb in (
        "bootstrap",
        "index",
        "synthesize",
        "preview",
        "train",
        "probe",
        "serve",
        "evaluate",
        "report",
        "plan",
        "config",
    ):
        yield (verb,), "--config: is missing"
        yield (verb, "--config"), "--config: has no value"
        yield (verb, "--config", "no-such.yaml"), "--config no-such.yaml: no such file"
        yield (verb, "laptop.yaml"), "laptop.yaml: not an option"
        yield (verb, "--config", RECIPE, "--no_such.setting", "1"), "no_such: "
    yield from (
        (("trian",), "trian: no such verb"), (("--config", RECIPE), "--config: no such verb"), (("status",), "status: takes"), (("status", "a", "b"), "status: takes"), (("status", "/no/such/run"), ""), (("view",), "view: takes"), (("view", "/no/such/run"), "run_dir: "), (("view", "a", "b"), "b: not an option"),
        (("config", "--config", RECIPE, "--address", "http://x"), "--address: is given for config"), (("plan", "--config", "x" * 5000), "--config xxx"), (("plan", "--config", "a\0b"), "--config "), (("", "x"), ": no such verb"),
        (("serve", "--config", RECIPE, "--port", "http"), "serve.port: "), (("evaluate", "--config", RECIPE, "--suite", "none"), "evaluate.suites.0: "), (("evaluate", "--config", RECIPE, "--url", "nowhere"), "evaluate.url: "),
        (("probe", "--config", RECIPE, "--lengths", "long"), "probe.lengths_tokens.0: "), (("plan", "--config", RECIPE, "--json"), "--json: has no value"), (("index", "--config", RECIPE, "--address", "nowhere"), "--address"),
    )  # fmt: skip


def _value_at(config: Any, field: str) -> Any:
    for name in field.split("."):
        config = getattr(config, name)
    return config


def _loading(path: Path, text: str | bytes, field: str) -> Callable[[], Any]:
    def attempt() -> Any:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        config = load_config(str(path))
        return _value_at(config, field) if field else yaml.safe_dump(config.model_dump())

    return attempt


def _overriding(overrides: Sequence[str]) -> Callable[[], Any]:
    return lambda: load_config(RECIPE, overrides).model_dump()


def _commanding(arguments: Sequence[str]) -> Callable[[], Any]:
    def attempt() -> Any:
        told, shown = io.StringIO(), io.StringIO()
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(shown):
            code = main(arguments)
        lines = told.getvalue().rstrip("\n")
        if code != USER_ERROR or not lines.startswith("longstrap: "):
            return code, lines, shown.getvalue()[:200]
        raise UserError(lines.removeprefix("longstrap: "))

    os.environ.pop("RAY_ADDRESS", None)
    return attempt
