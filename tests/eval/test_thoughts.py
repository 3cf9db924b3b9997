import pytest

from eval.thoughts import split_thought


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        (" 42\n", "", " 42\n"),
        ("<think>\nseven?\n</think>\n\n42", "seven?", "\n\n42"),
        # The template has opened it.
        ("seven?</think>42", "seven?", "42"),
        ("<think>a</think>b</think>42", "a</think>b", "42"),
        (" <think>it never ends", "it never ends", ""),
        ("42 <think> is a tag", "", "42 <think> is a tag"),
    ],
)
def test_thought_is_told_from_answer(text, thought, answer):
    assert split_thought(text) == (thought, answer)
