"""A stage goes on only after the stages that it was begun after."""

import json

import pytest

from app.config import RunConfig
from app.faults import UserError
from app.run import Run
from app.training.data.inputs import tokens_of
from app.training.stages import _identity_of, _Lines, _worker_environment, check_stages
from tests.record_makers import stage_record
from tests.training.train_settings import begin_run, stage_config, train_config

A, B = stage_config(name="a"), stage_config(name="b", max_seq_tokens=2048)
M = stage_config(name="m", max_seq_tokens=2048, rope_theta=5e6)


@pytest.fixture
def config_of(tmp_path):
    """Settings of a run with some stages, whose tokens are there."""
    begin_run(tmp_path)

    def config_of(*stages, **changes):
        train = train_config(*stages, model=str(tmp_path / "model"), **changes)
        return RunConfig(run_dir=str(tmp_path / "run"), train=train)

    return config_of


def begin(config, *complete):
    """All stages are begun, the named ones complete."""
    run = Run(config.run_dir)
    for index, stage in enumerate(config.train.stages):
        run.stage(stage.name).claim(_identity_of(config, run, index))
        if stage.name in complete:
            run.stage(stage.name).complete(stage_record(stage.name))
    return run


@pytest.mark.parametrize("complete", [("a", "b"), ("a",)], ids=["complete", "half trained"])
def test_a_stage_that_is_put_in_between_is_refused_for_the_one_after_it(config_of, complete):
    run = begin(config_of(A, B), *complete)
    with pytest.raises(
        UserError,
        match=r"^train\.stages\.b\.previous\.name: .*/train/b was made with 'a', but now it is 'm'; change it back",
    ):
        check_stages(config_of(A, M, B), run)
    assert not run.stage("m").folder.exists()


def test_a_stage_that_is_taken_away_is_refused_for_the_one_after_it(config_of):
    run = begin(config_of(A, M, B))
    with pytest.raises(UserError, match=r"^train\.stages\.b\.previous\.name: .* 'm', but now it is 'a'"):
        check_stages(config_of(A, B), run)


def test_a_stage_that_changed_is_refused_by_its_own_field(config_of):
    run = begin(config_of(A, B))
    changed = A.model_copy(update={"rope_theta": 5e6})
    with pytest.raises(UserError, match=r"^train\.stages\.a\.rope_theta: .*/train/a was made with 'rule'"):
        check_stages(config_of(changed, B), run)


def test_a_stage_whose_predecessor_was_deleted_and_changed_is_refused(config_of):
    run = begin(config_of(A, B))
    run.stage("a").folder.delete()
    with pytest.raises(UserError, match=r"^train\.stages\.b\.previous\.settings: .*/train/b was made with"):
        check_stages(config_of(A.model_copy(update={"learning_rate": 2e-5}), B), run)


def test_a_base_model_with_another_rope_is_refused(config_of, tmp_path):
    run = begin(config_of(A))
    settings = json.loads((tmp_path / "model" / "config.json").read_text()) | {"rope_theta": 20_000.0}
    (tmp_path / "model" / "config.json").write_text(json.dumps(settings))
    with pytest.raises(
        UserError, match=r"^train\.stages\.a\.trained_rope\.rope_theta: .* now it is 80000\.0"
    ):
        check_stages(config_of(A), run)


@pytest.mark.parametrize("complete", [(), ("a",)], ids=["half trained", "complete"])
def test_a_base_model_whose_config_changed_is_refused_by_its_field(config_of, tmp_path, complete):
    run = begin(config_of(A, B), *complete)
    path = tmp_path / "model" / "config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"transformers_version": "4.57.1", "torch_dtype": "bfloat16"}))
    check_stages(config_of(A, B), run)
    path.write_text(json.dumps(settings | {"rms_norm_eps": 1e-3}))
    with pytest.raises(
        UserError,
        match=r"^train\.stages\.a\.trained_settings\.rms_norm_eps: .*/train/a .* but now it is 0\.001",
    ):
        check_stages(config_of(A, B), run)


def test_tokens_that_were_made_anew_are_refused(config_of):
    run = begin(config_of(A))
    tokens = tokens_of(run, "texts")
    tokens.complete(tokens.record().model_copy(update={"fingerprint": "tokens two"}))
    with pytest.raises(
        UserError, match=r"^tokens\.texts: .* was made with 'tokens one', but now it is 'tokens two'"
    ):
        check_stages(config_of(A), run)


def test_a_stage_at_the_end_and_other_workers_are_no_other_run(config_of):
    run = begin(config_of(A, B), "a", "b")
    check_stages(config_of(A, B, M), run)
    check_stages(config_of(A, B, num_workers=2, steps_per_checkpoint=7), run)


def test_of_all_workers_and_tries_the_first_error_is_told():
    lines = _Lines()
    lines.fail("a worker failed first with TypeError: of the cause", None)
    lines.fail("a worker failed first with RuntimeError: Connection closed by peer", None)
    lines.fail("a later try", UserError("train.model: of the later try"))
    assert lines.take() == ["a worker failed first with TypeError: of the cause"]
    assert lines.fault() is None


def test_a_fault_of_the_user_is_raised_and_needs_no_line():
    lines = _Lines()
    lines.fail(
        "a worker failed first with UserError: train.model: a fault", UserError("train.model: a fault")
    )
    lines.fail("a worker failed first with RuntimeError: Connection closed by peer", None)
    assert str(lines.fault()) == "train.model: a fault"
    assert lines.take() == []


def test_gpus_get_segments_that_grow():
    assert _worker_environment(train_config(A, gpus_per_worker=1)) == {
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"
    }
    assert _worker_environment(train_config(A)) == {}
