import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from app.faults import UserError
from app.training.parallel.kernels import Segments, _stretches, attention_backward, attention_forward
from benchmarks.attention_check import TOLERANCES, Inputs, by_kernel, by_mathematics, check_attention

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_kernels_compute_attention(dtype):
    checks = list(check_attention(CPU, dtype, head_dims=(16,)))
    assert len(checks) == 27
    assert {check.name: check.errors for check in checks if not check.worst <= TOLERANCES[dtype]} == {}


def test_the_mathematics_is_that_of_torch():
    generator = torch.Generator().manual_seed(1)
    states = [torch.randn(9, heads, 8, generator=generator) for heads in (4, 2, 2, 4)]
    output, log_sum_exp, *_ = by_mathematics(Inputs(*states), Segments.causal((0, 9), CPU))
    query, key, value = (part.double().transpose(0, 1) for part in states[:3])
    expected = torch.nn.functional.scaled_dot_product_attention(
        query[None], key[None], value[None], is_causal=True, enable_gqa=True
    )
    assert torch.allclose(output, expected[0].transpose(0, 1))
    # The first token sees itself alone.
    assert torch.allclose(log_sum_exp[:, 0], (query[:, 0] * key[[0, 0, 1, 1], 0]).sum(-1) * 8**-0.5)


def test_a_lost_document_boundary_is_seen():
    inputs = Inputs(*(torch.randn(8, 2, 4) for _ in range(4)))
    found = by_kernel(inputs, Segments.causal((0, 8), CPU))
    expected = by_mathematics(inputs, Segments.causal((0, 3, 8), CPU))
    assert not torch.allclose(found[0].double(), expected[0], atol=1e-2)


@pytest.mark.parametrize("window", [None, 64])
def test_the_cuda_operators_take_what_they_are_given(window):
    with FakeTensorMode():
        query, key = (torch.empty(300, heads, 64, device="cuda", dtype=torch.bfloat16) for heads in (8, 2))
        segments = Segments.causal((0, 100, 300), query.device, window)
        output, log_sum_exp = attention_forward(query, key, key, segments, 0.125)
        gradients = attention_backward(output, query, key, key, output, log_sum_exp, segments, 0.125)
    assert output.shape == query.shape
    assert (log_sum_exp.shape, log_sum_exp.dtype) == ((8, 300), torch.float32)
    assert [part.shape for part in gradients] == [query.shape, key.shape, key.shape]


def test_a_window_costs_what_it_sees():
    """Scores that the CPU computes: with a window those of the blocks that it touches."""
    query = torch.empty(4096, 1, 8)
    blocks = list(_stretches(Segments.causal((0, 4096), CPU, 256), query))
    computed = sum((q.stop - q.start) * (k.stop - k.start) for q, k, _ in blocks)
    assert computed <= 4096 * 2 * 256
    assert [q.start for q, _, _ in blocks] == list(range(0, 4096, 255))


def test_the_gpu_takes_no_float32():
    with FakeTensorMode():
        query = torch.empty(3, 8, 64, device="cuda")
        segments = Segments.causal((0, 3), query.device)
        with pytest.raises(UserError, match=r"train\.dtype: torch\.float32"):
            attention_forward(query, query, query, segments, 1.0)
