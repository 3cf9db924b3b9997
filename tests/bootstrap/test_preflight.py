"""What a loop cannot do is refused before its first step, in one line."""

import re

import pytest

from app.bootstrap.preflight import check_bootstrap
from app.faults import UserError
from tests.bootstrap.loop_settings import loop_config


def test_a_loop_whose_stages_are_all_to_come_passes(tmp_path):
    check_bootstrap(loop_config(tmp_path, "--serve.models.40k.max_model_tokens", "40960"))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["--evaluate", "null"], "evaluate: is missing"),
        (["--train.dry_run", "true"], "train.dry_run: true trains nothing"),
        (["--evaluate.url", "http://h/v1"], "evaluate.url: http://h/v1 is not used by a bootstrap"),
        (["--evaluate.models", "{other: {}}"], "evaluate.models: other is not in serve.models"),
        (["--evaluate.models", "{base: {}}"], "serve.models: has no entry for the last stage"),
        (
            ["--serve.models", "{base: {model: 'bundled:smollm2-135m-instruct'}, 40k: {model: 'stage:40k'}}"],
            "serve.models: has no entry for stage 10k, which bootstrap.gate evaluates",
        ),
        (
            [
                "--serve.models",
                "{10k: {model: 'stage:10k'}, 20k: {model: 'stage:20k'}, 40k: {model: 'stage:40k'}}",
            ],
            "serve.models: begins with 10k",
        ),
        (
            ["--evaluate.niah.lengths_tokens", "[4096, 10240, 40960]"],
            "evaluate.niah.lengths_tokens: [4096, 10240, 40960] has none between 10240 and the 20480 of stage 20k",
        ),
        (
            ["--evaluate.niah.lengths_tokens", "[10240, 20480, 40960, 40961]"],
            "evaluate.niah.lengths_tokens: 40961 is more than any of the models can read; at most 40960",
        ),
        (
            ["--serve.models.20k.max_model_tokens", "20481"],
            "serve.models.20k.max_model_tokens: 20481 is more than",
        ),
        (["--evaluate.ruler.tasks", "[niah]"], "evaluate.ruler.tasks: no task is called niah"),
        (["--train.stages.0.warmup_steps", "1"], "train.stages.0.warmup_steps: 1 leaves none"),
        (["--corpus.sources.0.path", "/no/such"], "corpus.sources.0.path: "),
        (
            ["--bootstrap.rounds", "2", "--bootstrap.later_rounds", "{seeed: 2}"],
            "bootstrap.later_rounds: seeed",
        ),
    ],
)
def test_what_cannot_work(tmp_path, overrides, expected):
    with pytest.raises(UserError, match=re.escape(expected)) as caught:
        check_bootstrap(loop_config(tmp_path, *overrides))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_without_thresholds_no_length_is_asked_for(tmp_path):
    check_bootstrap(
        loop_config(tmp_path, "--bootstrap.gate", "{}", "--evaluate.niah.lengths_tokens", "[4096]")
    )
