import pytest

from eval.graphwalks.scores import answered_nodes, set_f1


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("Final Answer: [a, b]", 1.0),
        ("First I look.\nFinal Answer:[b,a]\n", 1.0),
        ("Final Answer: [a]", 2 / 3),
        ("Final Answer: [a, b, c, d]", 2 / 3),
        ("Final Answer: []", 0.0),
        ("a, b", 0.0),
        ("Final Answer: [a, b]\nI am sure.", 0.0),
        ("", 0.0),
    ],
)
def test_f1_of_the_last_line(reply, score):
    assert set_f1(reply, ["a", "b"]) == pytest.approx(score)


def test_the_words_before_the_list_are_no_part_of_a_node():
    assert answered_nodes("Final Answer: [uvwx, efgh]") == {"uvwx", "efgh"}
