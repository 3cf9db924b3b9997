import pytest

from app.bootstrap.rounds import rounds_of
from app.faults import UserError
from app.run import Run
from tests.bootstrap.loop_settings import loop_config


def test_one_round_is_the_recipe(tmp_path):
    config = loop_config(tmp_path)
    run = Run(config.run_dir)
    [only] = rounds_of(config, run)
    assert (only.number, only.config, only.run) == (1, config, run)


def test_a_later_round_has_the_extended_model_as_generator_and_the_original_to_train(tmp_path):
    later = "{generator.max_model_tokens: 32768, agent.chunk_tokens: 8192, agent.document_tokens: 8192}"
    config = loop_config(tmp_path, "--bootstrap.rounds", "3", "--bootstrap.later_rounds", later)
    run = Run(config.run_dir)
    first, second, third = rounds_of(config, run)
    assert first.config is config
    assert second.run.folder.path == f"{tmp_path}/run/round2"
    assert second.config.generator.model == f"{tmp_path}/run/train/40k/export"
    assert third.config.generator.model == f"{tmp_path}/run/round2/train/40k/export"
    for each in (second, third):
        assert each.config.trained_model == config.trained_model
        assert each.config.generator.max_model_tokens == 32768
        assert each.config.agent.chunk_tokens == 8192
        assert each.run.corpus.folder.path == run.corpus.folder.path
        assert each.run.index.folder.path == run.index.folder.path
        assert each.run.dataset.folder.path == f"{each.run.folder.path}/dataset"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ["--bootstrap.later_rounds", "{corpus.passage_tokens: 128}"],
            "corpus.passage_tokens is the same in all",
        ),
        (["--bootstrap.later_rounds", "{run_dir: elsewhere}"], "run_dir is the same in all"),
        (
            ["--bootstrap.later_rounds", "{agent.chunk_token: 128}"],
            "agent.chunk_token: 128 is given for a setting",
        ),
        (
            ["--bootstrap.later_rounds", "{agent.chunk_tokens: 9999}"],
            "does not fit generator.max_model_tokens",
        ),
        (
            [
                "--generator",
                "{type: openai, model: m, base_url: 'http://h/v1', tokenizer: t}",
                "--train.model",
                "m",
            ],
            "bootstrap.rounds: 2 needs a generator",
        ),
    ],
)
def test_later_rounds_that_cannot_be(tmp_path, overrides, expected):
    config = loop_config(tmp_path, "--bootstrap.rounds", "2", *overrides)
    with pytest.raises(UserError, match="bootstrap") as caught:
        list(rounds_of(config, Run(config.run_dir)))
    assert expected in str(caught.value)
