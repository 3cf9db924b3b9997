from types import SimpleNamespace

import torch

from app.training.parallel.attention import PackedSequence, SequenceParallel
from app.training.parallel.layout import SequenceLayout

CPU = torch.device("cpu")


def test_the_starts_of_a_sequences_tiles_are_made_once_for_all_layers():
    group = SimpleNamespace(rank=lambda: 1, size=lambda: 2)
    packed = PackedSequence((0, 20, 64), SequenceParallel(SequenceLayout(2, 1), 1, None, group))
    steps = packed.ring().steps(CPU)
    assert packed.ring().steps(CPU) is steps
    # Chunks 1 and 2 of 16 tokens with themselves and each other; then with chunk 0. Chunk 3 is later than both.
    assert [[(tile.queries, tile.keys) for tile, _ in work] for work in steps] == [
        [((0, 16), (0, 16)), ((16, 32), (4, 16)), ((16, 32), (16, 32))],
        [((0, 4), (0, 16))],
    ]
    assert [segments.is_causal for work in steps for _, segments in work] == [True, False, True, False]
    # Layers with a window have tiles of their own.
    assert packed.ring(8).steps(CPU) is not steps
