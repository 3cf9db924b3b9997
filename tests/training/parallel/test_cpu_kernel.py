import torch

from app.training.parallel.cpu_kernel import _stretches
from app.training.parallel.segments import Segments


def test_a_window_costs_what_it_sees():
    """Scores that are computed: those of the blocks that the window touches."""
    query = torch.empty(4096, 1, 8)
    blocks = list(_stretches(Segments.causal((0, 4096), query.device, 256), query))
    computed = sum((q.stop - q.start) * (k.stop - k.start) for q, k, _ in blocks)
    assert computed <= 4096 * 2 * 256
    assert [q.start for q, _, _ in blocks] == list(range(0, 4096, 255))
