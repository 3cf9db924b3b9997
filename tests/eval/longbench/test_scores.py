import pytest

from eval.longbench.scores import chosen_letter


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("The correct answer is (B).", "B"),
        ("The correct answer is C", "C"),
        ("**The correct answer is (**D**)**", "D"),
        ("First: The correct answer is (A). No: The correct answer is (B).", "A"),
        # The form with brackets counts first, wherever it stands.
        ("The correct answer is Berlin? The correct answer is (C)", "C"),
        ("the correct answer is (B)", None),
        ("The correct answer is (E)", None),
        ("(B)", None),
        ("", None),
    ],
)
def test_the_letter_is_read_as_published(reply, letter):
    assert chosen_letter(reply) == letter
