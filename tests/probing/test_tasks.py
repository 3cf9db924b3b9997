"""A task of the probe: its record, and what decides it."""

from dataclasses import replace

import pytest

from app.config import EvaluateConfig, ProbeConfig
from app.models.places import resolve_model
from app.probing.tasks import ReadingTask, read_task
from tests.probing.tiny_models import OWN_TOKENS

SMOLLM2 = "bundled:smollm2-135m-instruct"


def make_task(model, **changes):
    values = {
        "name": "rule",
        "weights": model,
        "weights_identity": model,
        "model": model,
        "revision": None,
        "rope_parameters": {"rope_type": "default", "rope_theta": 40_000.0},
        "length_tokens": 2 * OWN_TOKENS,
        "old_tokens": OWN_TOKENS,
        "evaluate": EvaluateConfig(),
        "probe": ProbeConfig(num_haystacks=2, num_needles=3),
        "seed": 1,
    }
    return ReadingTask(**values | changes)


def test_a_task_reads_all_haystacks_and_asks_all_needles(tiny_llama):
    record = read_task(make_task(tiny_llama))
    assert (record.name, record.length_tokens, record.num_asked) == ("rule", 512, 6)
    assert record.rope_parameters == {"rope_type": "default", "rope_theta": 40_000.0}
    assert record.loss_beyond is not None
    assert record == read_task(make_task(tiny_llama)).model_copy(update={"seconds": record.seconds})


def test_another_rope_reads_otherwise(tiny_llama):
    other = make_task(tiny_llama, rope_parameters={"rope_type": "default", "rope_theta": 400.0})
    assert read_task(other).losses != read_task(make_task(tiny_llama)).losses


@pytest.mark.parametrize(
    "changes",
    [
        {"weights_identity": "other"},
        {"rope_parameters": {"rope_theta": 1.0}},
        {"length_tokens": 500},
        {"old_tokens": 200},
        {"probe": ProbeConfig(num_haystacks=1)},
        {"seed": 2},
        {"evaluate": EvaluateConfig(template="base")},
    ],
)
def test_what_decides_a_reading_gives_it_another_file(changes):
    task = make_task("some/model")
    assert replace(task, **changes).file_name != task.file_name


def test_a_name_and_the_evaluations_own_lengths_decide_nothing():
    task = make_task("some/model")
    evaluate = EvaluateConfig.model_validate({"niah": {"lengths_tokens": [77], "num_trials": 5}})
    assert replace(task, name="other", evaluate=evaluate).file_name == task.file_name


@pytest.mark.slow
def test_smollm2_finds_needles_within_its_length():
    resolve_model(SMOLLM2)
    task = make_task(
        SMOLLM2,
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
        length_tokens=768,
        old_tokens=8192,
        probe=ProbeConfig(num_haystacks=1, num_needles=4),
    )
    record = read_task(task)
    assert record.num_found >= 3
    assert record.loss < 4.0
    assert record.loss_beyond is None
