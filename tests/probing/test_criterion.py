"""The best candidate, and the record of its readings."""

import numpy as np
import pytest

from app.probing.criterion import NUM_STRETCHES, best_of, summarize
from app.probing.questions import Haystack
from app.probing.reading import Reading
from tests.record_makers import reading_record


def test_more_needles_are_better_than_less_loss():
    many, few = reading_record("many", 5, 4.0), reading_record("few", 4, 1.0)
    assert best_of([few, many]).name == "many"


def test_of_as_many_needles_the_least_loss_beyond_the_old_limit_is_best():
    found = [reading_record("a", 3, 3.0, loss=1.0), reading_record("b", 3, 2.0, loss=9.0)]
    assert best_of(found).name == "b"


def test_where_nothing_is_beyond_the_loss_of_all_decides():
    found = [reading_record("a", 3, None, loss=2.0), reading_record("b", 3, None, loss=1.0)]
    assert best_of(found).name == "b"


def test_the_record_has_means_over_all_haystacks():
    haystack = Haystack(np.zeros(0, np.int32), (0,), (), (0.0, 50.0))
    positions = np.arange(100)
    readings = [
        Reading(positions, np.where(positions < 60, 1.0, 3.0), [True, False], [0.1, 0.3]),
        Reading(positions, np.where(positions < 60, 1.0, 5.0), [True, True], [0.2, 0.2]),
    ]
    record = summarize("rule", {"rope_theta": 1.0}, 110, 60, [haystack] * 2, readings, 1.5)
    assert (record.num_found, record.num_asked) == (3, 4)
    assert record.found_shares == {"0": 1.0, "50": 0.5}
    assert record.loss_beyond == 4.0
    assert record.loss == pytest.approx(0.6 + 0.4 * 4)
    assert record.answer_loss == pytest.approx(0.2)
    assert len(record.positions) == len(record.losses) == NUM_STRETCHES
    assert record.losses[0] == 1.0
    assert record.losses[-1] == 4.0
    assert record.positions == sorted(record.positions)


def test_within_the_old_length_nothing_is_beyond():
    haystack = Haystack(np.zeros(0, np.int32), (0,), (), (0.0,))
    reading = Reading(np.arange(50), np.ones(50), [False], [2.0])
    assert summarize("rule", {}, 60, 60, [haystack], [reading], 1.0).loss_beyond is None
