"""Keys, values, questions and answers of the needle test, and which settings are refused."""

import pytest
from pydantic import ValidationError

from app.config import NiahConfig
from eval.niah_needles import draw_needles


def test_needles_have_keys_and_values_of_their_own():
    needles = draw_needles(NiahConfig(num_needles=4), seed=0, trial=3)
    assert len(set(needles.keys)) == len(set(needles.values)) == 4
    assert needles.references == needles.values
    assert all(len(value) == 7 and value.isdigit() for value in needles.values)
    pairs = zip(needles.keys, needles.values, strict=True)
    assert needles.sentences == [f"One of the special magic numbers for {k} is: {v}." for k, v in pairs]


def test_trials_and_seeds_draw_anew_and_always_the_same():
    config = NiahConfig()
    drawn = [draw_needles(config, seed, trial).values[0] for seed in range(3) for trial in range(20)]
    assert len(set(drawn)) == 60
    assert drawn == [draw_needles(config, seed, trial).values[0] for seed in range(3) for trial in range(20)]


def test_with_key_alone_the_first_needle_is_asked_for():
    config = NiahConfig(num_needles=3, question="And {key}?", answer_prefix="")
    needles = draw_needles(config, seed=0, trial=0)
    assert needles.question == f"And {needles.keys[0]}?"
    assert needles.references == needles.values[:1]


def test_it_may_be_asked_the_other_way_round():
    config = NiahConfig(question="Which has {value}?", answer_prefix="", references=["{key}"])
    needles = draw_needles(config, seed=0, trial=0)
    assert needles.question == f"Which has {needles.values[0]}?"
    assert needles.references == needles.keys


def test_needles_without_placeholders_have_fixed_answers():
    config = NiahConfig(
        needles=["Figs are in it.", 'Its code is {"a": 1}.'],
        question="What is in it?",
        answer_prefix="",
        references=["figs", '{"a": 1}'],
    )
    needles = draw_needles(config, seed=0, trial=0)
    assert needles.sentences == config.needles
    assert needles.references == config.references


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"needles": ["The sky is blue."]}, "question .* asks for something that no needle contains"),
        (
            {"needles": ["The sky is blue."], "question": "What?", "answer_prefix": ""},
            "references '{value}' is not in any needle",
        ),
        ({"introduction": "About {key}."}, "introduction has {key}"),
        ({"question": "What of {kye}?"}, "question has {kye}, .* known: {key}, {keys}, {value}"),
        ({"needles": ["{keys} is {value}."]}, "needles has {keys}"),
        ({"needles": ["{key} is {value}.", "{key}: {value}"], "num_needles": 1}, "num_needles 1 is below"),
        (
            {
                "needles": ["It is 5."],
                "question": "?",
                "answer_prefix": "",
                "references": ["5"],
                "num_needles": 2,
            },
            "num_needles 2 would repeat",
        ),
        (
            {"needles": ["Of {key}.", "{key} is {value}."], "question": "And {key}?"},
            "references '{value}' is not in any needle",
        ),
        ({"references": []}, "is empty"),
        ({"depths_percent": [101.0]}, "less than or equal to 100"),
    ],
)
def test_settings_that_cannot_be_answered_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        NiahConfig(**settings)
