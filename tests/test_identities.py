"""Every setting decides the artefact that it belongs to and what depends on it; an operational one decides nothing.

The fields are found in the models themselves: a new one is tested without a change here.
"""

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from app.agent.prompts import PROMPT_VERSION
from app.config import Config, StageConfig
from app.corpus.identity import identity_of_corpus
from app.dataset.identity import identity_of_dataset
from app.models.embedding_model import ModelFacts
from app.records.documents import IndexRecord
from app.retrieval.identity import identity_of_index
from app.run import fingerprint_of
from app.training.identities import (
    identity_of_rope_search,
    identity_of_stage,
    identity_of_stage_data,
    identity_of_tokens,
)
from eval.identity import identity_of_evaluation
from tests.record_makers import index_record

ARTEFACTS = (
    "corpus", "index", "dataset", "data of a", "stage a", "data of b", "stage b", "evaluation", "search of b",
)  # fmt: skip
TRAINING = ARTEFACTS[3:7]
DECIDED_BY_SECTION = {
    "seed": ARTEFACTS[1:],
    "probe": ("search of b",),
    "corpus": ARTEFACTS[:7],
    "retrieval": ARTEFACTS[1:7],
    "generator": ARTEFACTS[2:7],
    "agent": ARTEFACTS[2:7],
    "dataset": ARTEFACTS[2:7],
    "train": ("stage b",),
    "evaluate": ("evaluation",),
}
"""Section → what all of its settings that are not operational decide."""
NOT_OF_THE_DATA = {
    "name",
    "rope_theta",
    "rope_parameters",
    "learning_rate",
    "schedule",
    "warmup_steps",
    "min_learning_rate_share",
}
"""Settings of a stage that its packed sequences do not depend on; all others they do."""
STAGE = {"mix": {"of_run": 1.0, "of_files": 0.5}, "learning_rate": 1e-5}
VLLM = {"type": "vllm", "model": "some/generator"}
OPENAI = {"type": "openai", "model": "writer", "base_url": "http://h/v1", "tokenizer": "some/tokenizer"}


def make_config(generator: dict[str, Any]) -> Config:
    return Config.model_validate(
        {
            "run_dir": "run",
            "corpus": {"sources": [{"path": "docs"}]},
            "retrieval": {"model": "some/embedder"},
            "generator": generator,
            "dataset": {
                "num_long_input_seeds": 1,
                "num_long_output_seeds": 1,
                "target_lengths": [{"min_tokens": 4000, "max_tokens": 8000}],
            },
            "train": {
                "model": "some/model",
                "sources": {"of_run": {"kind": "long_input"}, "of_files": {"path": "chats"}},
                "stages": [
                    {"name": "a", "max_seq_tokens": 64, "batch_tokens": 128, "num_steps": 2, **STAGE},
                    {"name": "b", "max_seq_tokens": 128, "batch_tokens": 256, "num_tokens": 512, **STAGE},
                ],
            },
            "serve": {"models": {"base": {"model": "some/model"}}},
            "evaluate": {"models": {"base": {"tokenizer": "some/model"}}},
        }
    )


def identities(config: Config) -> dict[str, str]:
    """Artefact → its identity; what it is made of stands in it as the identity of that."""
    assert config.train is not None
    corpus = identity_of_corpus(config)
    facts = ModelFacts(dim=384, prompts={}, revision=None, files_hash="files", max_tokens=512)
    index = identity_of_index(config.retrieval, config.seed, facts, fingerprint_of(corpus))
    facts_of_index = index_record().values()
    dataset = identity_of_dataset(config, IndexRecord.model_validate(facts_of_index | index))
    tokenizer = fingerprint_of(config.trained_model)
    tokens = {
        name: fingerprint_of(
            identity_of_tokens(
                config.train, name, tokenizer, None if source.path else fingerprint_of(dataset)
            )
        )
        for name, source in config.train.sources.items()
    }
    found: dict[str, Any] = {"corpus": corpus, "index": index, "dataset": dataset}
    for index_of_stage, letter in enumerate("ab"):
        ropes = {stage.name: {"rope_theta": 1.0} for stage in config.train.stages}
        found[f"data of {letter}"] = identity_of_stage_data(config, index_of_stage, tokens)
        found[f"stage {letter}"] = identity_of_stage(config, index_of_stage, tokens, ropes, {})
    found["evaluation"] = identity_of_evaluation(config)
    before = ropes[config.train.stages[0].name]
    found["search of b"] = identity_of_rope_search(config, 1, before, fingerprint_of(found["stage a"]))
    return {name: fingerprint_of(identity) for name, identity in found.items()}


def changes(section: BaseModel, is_operational: bool = False) -> Iterator[tuple[str, bool, BaseModel]]:
    """Each setting's place, whether it is operational, and the section with that one changed, whether valid or not."""
    for name, field in type(section).model_fields.items():
        extra = field.json_schema_extra
        operational = is_operational or (isinstance(extra, dict) and bool(extra.get("operational")))
        for place, below, value in changed_values(getattr(section, name), field.annotation, operational):
            yield f"{name}{place}", below, section.model_copy(update={name: value})


def changed_values(value: Any, annotation: Any, operational: bool) -> Iterator[tuple[str, bool, Any]]:
    """Other values of a field, one for each setting that is in it."""
    if isinstance(value, BaseModel):
        for place, below, changed in changes(value, operational):
            yield f".{place}", below, changed
    elif isinstance(value, dict) and value:
        for key, item in value.items():
            for place, below, changed in changed_values(item, None, operational):
                yield f".{key}{place}", below, value | {key: changed}
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            for place, below, changed in changed_values(item, None, operational):
                yield f".{index}{place}", below, [*value[:index], changed, *value[index + 1 :]]
    elif not is_constant(annotation):
        yield "", operational, another(value, annotation)


def is_constant(annotation: Any) -> bool:
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def another(value: Any, annotation: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        # Twice: whole steps and sequences follow from some.
        return value * 2 or 1
    if isinstance(value, str):
        choices = get_args(annotation) if get_origin(annotation) is Literal else (f"{value}-other",)
        return next(choice for choice in choices if choice != value)
    if isinstance(value, dict | list):
        return type(value)({"other": 1} if isinstance(value, dict) else ["other"])
    assert value is None
    return value_of(annotation)


def value_of(annotation: Any) -> Any:
    """Any value of a type that may also be None."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)[-1]
    for kind, found in (
        (bool, True),
        (int, 1),
        (float, 1.0),
        (str, "other"),
        (dict, {"other": 1}),
        (list, ["x"]),
    ):
        if annotation is kind or get_origin(annotation) is kind:
            return found
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "a section"
    return next(value_of(each) for each in get_args(annotation) if each is not type(None))


@pytest.mark.parametrize("generator", [VLLM, OPENAI], ids=["vllm", "openai"])
def test_every_setting_decides_what_depends_on_it_and_operational_ones_nothing(generator):
    config = make_config(generator)
    before = identities(config)
    num_tried = {True: 0, False: 0}
    for place, operational, changed in changes(config):
        num_tried[operational] += 1
        assert isinstance(changed, Config)
        after = identities(changed)
        differing = {name for name in ARTEFACTS if before[name] != after[name]}
        if operational:
            assert not differing, f"{place} is operational and changes {differing}"
        else:
            missed = set(DECIDED_BY_SECTION[place.partition(".")[0]]) - differing
            assert not missed, f"{place} is not in the identity of {missed}"
    assert num_tried[True] > 60
    assert num_tried[False] > 100


@pytest.mark.parametrize("field", sorted(set(StageConfig.model_fields) - NOT_OF_THE_DATA))
def test_what_decides_a_stages_sequences(field):
    """One of the two stages has `num_steps`, the other `num_tokens`."""
    config = make_config(VLLM)
    before = identities(config)
    found = []
    for place, operational, changed in changes(config):
        if place.startswith("train.stages.") and place.split(".")[3] == field:
            after = identities(changed)
            found.append(
                operational or any(before[name] != after[name] for name in ("data of a", "data of b"))
            )
    assert any(found), f"the sequences' identity does not hold {field}"


def test_other_prompts_make_another_dataset():
    assert identity_of_dataset(make_config(VLLM), index_record())["prompt_version"] == PROMPT_VERSION


def test_an_earlier_stage_decides_the_later_ones_and_not_the_other_way_round():
    config = make_config(VLLM)
    before = identities(config)
    for place, operational, changed in changes(config):
        after = identities(changed)
        if place.startswith("train.stages.0.") and not operational:
            assert after["stage b"] != before["stage b"], place
        if place.startswith("train.stages.1."):
            assert after["stage a"] == before["stage a"], place
