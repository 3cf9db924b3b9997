"""Expected scores are those of HELMET's code, worked out by hand."""

import math

import pytest

from eval.helmet.definitions import TASKS
from eval.helmet.scores import ndcg, ranked_ids, score_reply


@pytest.mark.parametrize(
    ("task", "reply", "references", "score"),
    [
        ("ruler_niah_mv", "They are 11 and 33.", ["11", "22"], 0.5),
        ("json_kv", "Corresponding value: 1b-2C.", ["1b-2c"], 1.0),
        ("json_kv", "value", ["1b-2c"], 0.0),
        # Case, punctuation and articles do not count; that the answer is part of a word does not either.
        ("kilt_nq", "It was the U.S.S. Enterprise!", ["USS enterprise"], 1.0),
        ("kilt_nq", "Answer: a Rome\nAnswer: Paris", ["The Paris", "Oslo"], 1.0),
        ("kilt_triviaqa", "I don't know", ["Paris"], 0.0),
    ],
)
def test_replies_score_as_published(task, reply, references, score):
    assert score_reply(TASKS[task], reply, references) == score


@pytest.mark.parametrize(
    ("reply", "ids"),
    [
        ("Ranking: ID3 > ID1 > ID2", ["3", "1", "2"]),
        ("[ID: 12] is best. So: [12] > [7] > [12] > [9]", ["12", "7", "9"]),
        ("None of them.", ["none of them."]),
    ],
)
def test_the_longest_ranking_of_a_reply_is_read(reply, ids):
    assert ranked_ids(reply) == ids


def test_ndcg_has_the_relevance_as_gain_and_ten_ranks():
    relevance = {"1": 3, "2": 0, "3": 1}
    assert ndcg(["1", "3", "2"], relevance) == 1.0
    best = 3 + 1 / math.log2(3)
    assert ndcg(["2", "1", "3"], relevance) == pytest.approx((3 / math.log2(3) + 1 / 2) / best)
    assert ndcg(["9", "1"], relevance) == pytest.approx(3 / math.log2(3) / best)
    assert ndcg([*map(str, range(20, 30)), "1"], relevance) == 0.0
    assert ndcg(["1"], {"1": 0}) == 0.0
    assert score_reply(TASKS["msmarco_rerank_psg"], "ID1 > ID3 > ID2", ["x"], relevance) == 1.0
