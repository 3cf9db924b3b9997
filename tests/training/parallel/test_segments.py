import torch

from app.training.parallel.segments import Part, Segments

CPU = torch.device("cpu")


def test_long_stretches_are_parts_of_their_own_and_short_ones_stay_together():
    segments = Segments.causal((0, 3, 5, 105, 107, 109, 209, 309), CPU)
    parts = segments.parts(100)
    assert [(part.queries, part.packed is None) for part in parts] == [
        (slice(0, 5), False),
        (slice(5, 105), True),
        (slice(105, 109), False),
        (slice(109, 209), True),
        (slice(209, 309), True),
    ]
    assert all(part.queries == part.keys for part in parts)
    assert [part.packed for part in parts if part.packed] == [
        Segments.causal((0, 3, 5), CPU),
        Segments.causal((0, 2, 4), CPU),
    ]
    # Made once: their starts go to the device.
    assert segments.parts(100)[0] is parts[0]


def test_what_has_no_long_stretch_stays_as_it_is():
    segments = Segments.dense(50, 200, CPU)
    assert segments.parts(100) == (Part(slice(0, 50), slice(0, 200), segments),)
    assert segments.parts(50) == (Part(slice(0, 50), slice(0, 200), None),)
