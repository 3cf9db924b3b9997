"""The order in which a stage draws one source."""

from itertools import islice

import numpy as np
import pytest

from app.training.data.supplies import Supply, seeded_random
from tests.training.data.test_packing import lengths_of, stage_of


def units(supply):
    while (unit := supply.peek()) is not None:
        supply.take()
        yield unit


def supply_of(lengths, seed=0, name="a", **stage):
    return Supply(name, 1.0, lengths, stage_of({"a": 1.0}, 100, 4, **stage), seed)


def test_every_epoch_has_all_examples_in_an_order_of_its_own():
    drawn = [unit[0] for unit in units(supply_of(lengths_of([10] * 50), max_epochs=3.0))]
    epochs = [drawn[:50], drawn[50:100], drawn[100:]]
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in [*epochs, range(50)]}) == 4


@pytest.mark.parametrize("other", [{"seed": 1}, {"name": "b"}, {"max_epochs": 2.0}])
def test_the_order_hangs_on_the_seed_and_the_names_alone(other):
    lengths = lengths_of([10] * 50)
    first, second = (list(islice(units(supply_of(lengths, **more)), 50)) for more in ({}, other))
    assert (first == second) == ("max_epochs" in other)


@pytest.mark.parametrize(("max_epochs", "num_tokens"), [(0.5, 250), (1.0, 500), (1.25, 620), (2.0, 1000)])
def test_a_part_of_an_epoch_is_drawn_to_the_last_unit_that_fits(max_epochs, num_tokens):
    supply = supply_of(lengths_of([10] * 50), max_epochs=max_epochs)
    assert sum(unit[2] for unit in units(supply)) == supply.num_drawn == num_tokens


def test_a_long_text_is_drawn_in_pieces_of_about_the_same_length():
    [first, second, third] = units(supply_of(lengths_of([201], is_text=True)))
    assert [first, second, third] == [(0, 0, 67, 0), (0, 67, 67, 0), (0, 134, 67, 0)]


def test_a_separator_takes_room_but_before_what_begins_with_one():
    for begins, extras in ((False, [1, 1]), (True, [0, 1])):
        lengths = lengths_of([150], is_text=True, begins=begins)
        assert [unit[3] for unit in units(supply_of(lengths, documents="separator"))] == extras


def test_the_raw_randomness_stays_what_it_is():
    # numpy promises it of its bit generators, not of what its distributions make of them.
    assert seeded_random(3, "a", "b").random_raw(2).tolist() == [6347435022174224920, 16070214742254226994]
    assert isinstance(seeded_random(3, "a"), np.random.PCG64)
