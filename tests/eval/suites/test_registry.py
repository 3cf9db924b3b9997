"""All suites are in the registry, and each scores its records."""

from typing import get_args

from app.config import EvaluateConfig
from app.config.evaluation import SuiteName
from eval.suite import SampledSuite
from eval.suites.registry import SUITES, asked_suites, sampled_suite
from tests.eval.test_reading import record


def test_the_settings_name_all_suites_and_have_a_section_for_each():
    assert set(SUITES) == set(get_args(SuiteName))
    assert set(SUITES) <= set(EvaluateConfig.model_fields)
    assert [suite.name for suite in asked_suites(EvaluateConfig(suites=["short", "niah"]))] == [
        "short",
        "niah",
    ]


def test_plans_know_how_many_prompts_there_are():
    settings = EvaluateConfig()
    for suite in SUITES.values():
        if isinstance(suite, SampledSuite) and suite.has_length_grid:
            asked = suite.prompts(settings)
            assert [each.length_tokens for each in asked] == suite.lengths_tokens(settings)
            assert all(each.num_prompts for each in asked)


def test_scores_are_those_of_the_suites():
    assert sampled_suite("niah").score(record(text="7 or 8", references=("7", "9"))) == 0.5
    assert (
        sampled_suite("ruler").score(record(text="paris", task="qa_1", references=("Paris", "Lutetia")))
        == 1.0
    )
    assert sampled_suite("ruler").score(record(task="vt", error="away")) == 0.0
    answers = {"context_answers": ["Rome"], "remembered_answers": ["Paris"]}
    assert sampled_suite("recall").score(record(text="Rome", variant="changed", **answers)) == 1.0
    assert sampled_suite("recall").score(record(text="Rome", variant="closed", **answers)) == 0.0
    assert sampled_suite("recall").score(record(text="Paris", variant="closed", **answers)) == 1.0
