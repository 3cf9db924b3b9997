import pytest

from app.agent.parsing import MalformedReplyError
from app.agent.stated_length import round_words, with_length


@pytest.mark.parametrize(
    "stated",
    ["1,200 words", "about 1100 words", "1,000-1,500 words", "a 1200-word piece", "1 to 2 thousand words"],
)
def test_a_true_length_stays_as_it_is(stated):
    text = f"Write {stated} about tin mines."
    assert with_length(text, 1234) == text


@pytest.mark.parametrize("stated", ["500 words", "a 5,000-word piece", "200 to 300 words", "3k words"])
def test_a_wrong_length_is_malformed(stated):
    with pytest.raises(MalformedReplyError, match="wrong length"):
        with_length(f"Write {stated} about tin mines.", 1234)


def test_a_length_is_added_where_none_is_stated():
    assert with_length("Write about 2 tin mines.", 1234) == (
        "Write about 2 tin mines. It should have about 1,200 words."
    )


def test_lengths_are_stated_with_two_figures():
    assert [round_words(number) for number in (0, 7, 94, 149, 1251, 98_700)] == [1, 7, 94, 150, 1300, 99_000]
