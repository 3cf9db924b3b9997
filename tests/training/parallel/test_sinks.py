import torch

from app.training.parallel.attention import PackedSequence, attend

WINDOW, LENGTHS = 13, (41, 1, 58)


def by_mathematics(query, key, value, sink, scale):
    """A sink is one more score in each row of the softmax."""
    places = torch.arange(sum(LENGTHS))
    document = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS))
    behind = places[:, None] - places[None, :]
    is_seen = (behind >= 0) & (behind < WINDOW) & (document[:, None] == document[None, :])
    scores = torch.einsum("thd,shd->hts", query, key) * scale
    scores = scores.masked_fill(~is_seen, -torch.inf)
    column = sink[:, None, None].expand(len(sink), len(places), 1)
    probabilities = torch.cat([scores, column], dim=-1).softmax(-1)[..., :-1]
    return torch.einsum("hts,shd->thd", probabilities, value)


def test_a_sink_takes_its_share_of_the_softmax_and_learns_from_it():
    torch.manual_seed(0)
    states = [torch.randn(sum(LENGTHS), 4, 16, requires_grad=True) for _ in range(3)]
    sink, gradient = torch.randn(4, requires_grad=True), torch.randn(sum(LENGTHS), 4, 16)
    packed = PackedSequence((0, 41, 42, 100))
    found = attend(*states, packed, 0.25, WINDOW, sink)
    expected = by_mathematics(*states, sink, 0.25)
    torch.testing.assert_close(found, expected)
    for part, whole in zip(
        torch.autograd.grad(found, (*states, sink), gradient),
        torch.autograd.grad(expected, (*states, sink), gradient),
        strict=True,
    ):
        assert float((part - whole).norm() / whole.norm()) <= 1e-6
