"""A stage's RoPE is searched once: what was found decides the stage, and a resumed run reads the record."""

import pytest
from transformers import AutoConfig

from app.config import ProbeConfig, RunConfig
from app.faults import UserError
from app.models.rope import rope_parameters_of
from app.run import Run
from app.training.loop import StageTask, config_of_stage
from app.training.rope_search import PICTURE_FILE, ropes_of_stages, search_rope, searched_ropes
from app.training.stages import _identity_of, check_stages
from tests.record_makers import reading_record, stage_record
from tests.training.train_settings import begin_run, stage_config, train_config

A = stage_config(name="a", rope_theta="search")
B = stage_config(name="b", max_seq_tokens=2048, rope_theta="search")
C = stage_config(name="c", max_seq_tokens=4096, batch_tokens=8192)


@pytest.fixture
def folder(tmp_path):
    begin_run(tmp_path)
    return tmp_path


def make_config(folder, *stages, **changes):
    train = train_config(*stages, model=str(folder / "model"))
    return RunConfig(run_dir=str(folder / "run"), train=train, **changes)


def base_of(folder):
    return AutoConfig.from_pretrained(folder / "model")


def finding(name, tasks_seen=None):
    """Reads nothing: the named candidate finds all needles."""

    def read(tasks, config, folder, report):
        if tasks_seen is not None:
            tasks_seen.extend(tasks)
        return [
            reading_record(
                task.name,
                9 if task.name == name else 1,
                3.0,
                base=task.rope_parameters["rope_theta"],
                length_tokens=task.length_tokens,
            )
            for task in tasks
        ]

    return read


def search(folder, config, index, name, tasks_seen=None):
    lines = []
    run = Run(config.run_dir)
    search_rope(config, run, index, base_of(folder), lines.append, finding(name, tasks_seen))
    return run, lines


def test_the_best_candidate_is_the_stages_rope(folder):
    config = make_config(folder, A)
    run, lines = search(folder, config, 0, "4 x rule")
    base = 10_000 * (1024 / 512) ** 2 * 4
    assert searched_ropes(config, run)["a"]["rope_theta"] == base
    assert lines == [
        f"stage a: RoPE 4 x rule (base {base:,.0f}): most needles found, 9 of 10 at 1,024 tokens, the best of 8 "
        f"candidates"
    ]
    assert run.rope_search("a").folder.exists(PICTURE_FILE)
    assert run.rope_search("a").record().chosen == "4 x rule"


def test_workers_train_with_what_was_found(folder):
    config = make_config(folder, A, C)
    run, _ = search(folder, config, 0, "4 x rule")
    ropes = searched_ropes(config, run)
    task = StageTask(
        config.train, 0, str(folder / "model"), None, run.stage("a").folder, None, "run", 1.0, ropes
    )
    assert config_of_stage(task).rope_parameters["rope_theta"] == 160_000
    # The stage after it goes on from there.
    assert rope_parameters_of(base_of(folder), config.train.stages, 1, ropes)["rope_theta"] == 160_000 * 16


def test_the_stages_identity_holds_what_was_found(folder):
    config = make_config(folder, A, C)
    run, _ = search(folder, config, 0, "rule")
    identity = _identity_of(config, run, 0)
    assert identity["train"]["stages"]["a"]["trained_rope"]["rope_theta"] == 40_000
    run.stage("a").claim(identity)
    check_stages(config, run)
    record = run.rope_search("a").record()
    run.rope_search("a").complete(record.model_copy(update={"rope_parameters": {"rope_theta": 7.0}}))
    with pytest.raises(UserError, match=r"^train\.stages\.a\.trained_rope\.rope_theta: .* now it is 7\.0"):
        check_stages(config, run)


def test_a_resumed_run_reads_the_record(folder):
    config = make_config(folder, A)
    search(folder, config, 0, "rule")
    seen = []
    run, lines = search(folder, config, 0, "4 x rule", seen)
    assert (seen, lines) == ([], [])
    assert run.rope_search("a").record().chosen == "rule"


def test_a_search_with_other_needles_is_refused(folder):
    search(folder, make_config(folder, A), 0, "rule")
    with pytest.raises(
        UserError, match=r"^probe\.num_needles: .*/train/a/rope was made with 10, but now it is 5"
    ):
        search(folder, make_config(folder, A, probe=ProbeConfig(num_needles=5)), 0, "rule")


def test_before_the_search_the_stage_and_those_after_it_are_not_refused(folder):
    config = make_config(folder, A, B, C)
    run = Run(config.run_dir)
    check_stages(config, run)
    assert ropes_of_stages(config, base_of(folder), {}) == {"a": None, "b": None, "c": None}
    assert _identity_of(config, run, 0)["train"]["stages"]["a"]["trained_rope"] is None


def test_a_later_stage_reads_the_export_of_the_one_before_from_its_length_on(folder):
    config = make_config(folder, A, B)
    run, _ = search(folder, config, 0, "2 x rule")
    run.stage("a").claim(_identity_of(config, run, 0))
    run.stage("a").complete(stage_record("a"))
    seen = []
    search(folder, config, 1, "rule", seen)
    assert {task.weights for task in seen} == {f"{run.stage('a').folder.uri}/export"}
    assert {(task.old_tokens, task.length_tokens) for task in seen} == {(1024, 2048)}
    own = next(task for task in seen if task.name == "own base")
    assert own.rope_parameters["rope_theta"] == 80_000
    assert searched_ropes(config, run)["b"]["rope_theta"] == 320_000


def test_without_a_search_the_rule_holds(folder):
    config = make_config(folder, A)
    assert rope_parameters_of(base_of(folder), config.train.stages, 0)["rope_theta"] == 40_000
