import torch

from benchmarks.allocations import (
    Allocation,
    record_allocations,
    replay,
    reset_resident_peak,
    resident_peak_bytes,
)

MB = 2**20


def test_the_peak_is_what_was_held_at_once():
    def taken(time_ns, address, num_bytes, owner=""):
        return Allocation(time_ns, address, num_bytes, owner)

    # Out of order, as the profiler's tree gives them; address 1 is used twice.
    peak, left, owners = replay(
        [
            taken(5, 1, 30, "c"),
            taken(1, 1, 100, "a"),
            taken(2, 2, 50, "b"),
            taken(3, 1, -100),
            taken(4, 3, 80, "d"),
            taken(6, 2, -50),
            taken(7, 3, -80),
        ]
    )
    assert (peak, left) == (160, 30)
    assert owners == {"d": 80, "b": 50, "c": 30}


def test_what_kernels_take_inside_is_counted():
    values = torch.zeros(256, 1024)
    with record_allocations() as found:
        values.logsumexp(dim=-1)
    # `values - maximum`, which no one outside the kernel sees.
    assert MB <= found.peak_bytes < 1.1 * MB
    assert found.left_bytes == 0
    assert next(iter(found.owners)).startswith("aten::logsumexp")


def test_a_backward_pass_holds_what_it_must():
    weight = torch.ones(1024, 1024, requires_grad=True)
    weight.grad = torch.zeros_like(weight)
    hidden = torch.ones(512, 1024)
    with record_allocations() as found:
        (hidden @ weight).square().sum().backward()
    # The product is kept; its gradient, with a step between; then the weight's, which is added to what is there.
    assert 6 * MB <= found.peak_bytes <= 10.1 * MB
    assert found.left_bytes == 0


def test_the_resident_peak_begins_anew():
    torch.zeros(32 * MB).fill_(1.0)
    before = reset_resident_peak()
    assert resident_peak_bytes() - before < 32 * MB
    torch.zeros(16 * MB).fill_(1.0)
    assert 60 * MB <= resident_peak_bytes() - before <= 100 * MB
