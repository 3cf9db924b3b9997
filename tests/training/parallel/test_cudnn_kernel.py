"""cuDNN's operators, which no CPU has: their arguments under fake tensors, and what is done with their results."""

from types import SimpleNamespace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from app.faults import UserError
from app.training.parallel import cudnn_kernel
from app.training.parallel.cpu_kernel import CpuKernel
from app.training.parallel.cudnn_kernel import CudnnKernel
from app.training.parallel.segments import Segments
from benchmarks.attention_check import _errors, _inputs, by_kernel

CPU = torch.device("cpu")
KERNEL = CudnnKernel(least_tokens=100)
PACKED = (0, 30, 40, 240, 250, 400)


def fake(num_tokens, num_heads, head_dim=64):
    return torch.empty(num_tokens, num_heads, head_dim, device="cuda", dtype=torch.bfloat16)


def shapes(kernel, segments, query, key):
    output, log_sum_exp = kernel.forward(query, key, key, segments, 0.125)
    gradients = kernel.backward(output, query, key, key, output, log_sum_exp, segments, 0.125)
    assert output.is_contiguous()
    assert all(part.is_contiguous() for part in gradients)
    assert (log_sum_exp.dtype, log_sum_exp.shape) == (torch.float32, (query.shape[1], len(query)))
    assert {part.dtype for part in (output, *gradients)} == {torch.bfloat16}
    return [tuple(part.shape) for part in (output, *gradients)]


def _item(states, index):
    """Indexing by torch's operators: Python's own asks for the device, which is not there."""
    dim = 0
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, slice):
            states = torch.ops.aten.slice.Tensor(states, dim, part.start, part.stop, part.step or 1)
            dim += 1
        else:
            states = torch.ops.aten.select.int(states, dim, part)
    return states


def _contiguous(states):
    if states.is_contiguous():
        return states
    return torch.ops.aten.clone(states, memory_format=torch.contiguous_format)


@pytest.mark.parametrize("most_numbers", [2**31 - 1, 400 * 2 * 64])
def test_the_operators_take_what_they_are_given(most_numbers, monkeypatch):
    monkeypatch.setattr(FakeTensor, "__getitem__", _item)
    monkeypatch.setattr(FakeTensor, "contiguous", _contiguous)
    kernel = CudnnKernel(100, most_numbers)
    with FakeTensorMode():
        query, key = fake(400, 8), fake(400, 2)
        segments = Segments.causal(PACKED, query.device)
        assert shapes(kernel, segments, query, key) == [
            (400, 8, 64),
            (400, 8, 64),
            (400, 2, 64),
            (400, 2, 64),
        ]
        dense = Segments.dense(400, 150, query.device)
        assert shapes(kernel, dense, query, key[:150])[2:] == [(150, 2, 64), (150, 2, 64)]
        # A view of every second head, as a slice of other states would be.
        apart = fake(400, 16)[:, ::2]
        assert shapes(kernel, segments, apart, fake(400, 4)[:, ::2])[0] == (400, 8, 64)


def test_a_gpu_takes_no_float32():
    with FakeTensorMode():
        query = torch.empty(300, 8, 64, device="cuda")
        with pytest.raises(UserError, match=r"train\.dtype: torch\.float32"):
            KERNEL.forward(query, query, query, Segments.causal((0, 300), query.device), 1.0)


class FakeCudnn:
    """cuDNN's operators by those of a CPU, in cuDNN's shapes; counts what it is asked for."""

    def __init__(self):
        self.asked, self.numbers = [], []

    def _scaled_dot_product_cudnn_attention(
        self, query, key, value, bias, wants_sum, dropout, is_causal, wants_mask, *, scale
    ):
        assert (bias, wants_sum, dropout, wants_mask) == (None, True, 0.0, False)
        self.asked.append((query.shape[2], key.shape[2], is_causal))
        self.numbers.append(query.numel())
        states = [part[0].transpose(0, 1) for part in (query, key, value)]
        output, log_sum_exp = CpuKernel().forward(*states, self.segments(query, key, is_causal), scale)
        rest = (None, None, query.shape[2], key.shape[2], torch.tensor(0), torch.tensor(0), None)
        return output.transpose(0, 1)[None], log_sum_exp[None, :, :, None], *rest

    def _scaled_dot_product_cudnn_attention_backward(
        self, grad, query, key, value, output, log_sum_exp, seed, offset, *rest, scale
    ):
        bias, queries, keys, num_queries, num_keys, dropout, is_causal = rest
        assert (bias, queries, keys, dropout) == (None, None, None, 0.0)
        assert (num_queries, num_keys) == (query.shape[2], key.shape[2])
        assert log_sum_exp.shape == (*query.shape[:3], 1)
        assert log_sum_exp.is_contiguous()
        states = [part[0].transpose(0, 1) for part in (grad, query, key, value, output)]
        segments = self.segments(query, key, is_causal)
        gradients = CpuKernel().backward(*states, log_sum_exp[0, :, :, 0], segments, scale)
        return [gradient.transpose(0, 1)[None] for gradient in gradients]

    def segments(self, query, key, is_causal):
        if is_causal:
            return Segments.causal((0, query.shape[2]), CPU)
        return Segments.dense(query.shape[2], key.shape[2], CPU)


@pytest.fixture
def cudnn(monkeypatch):
    operators = FakeCudnn()
    monkeypatch.setattr(cudnn_kernel, "_aten", operators)
    monkeypatch.setattr(cudnn_kernel, "check_half", lambda query: None)
    return operators


def errors(kernel, segments, head_dim=16):
    inputs = _inputs(
        segments.queries[-1],
        segments.keys[-1],
        (6, 2),
        head_dim,
        torch.float32,
        torch.Generator().manual_seed(2),
    )
    return max(_errors(by_kernel(inputs, segments, kernel), inputs, segments).values())


def kernel_of(most_numbers=2**31 - 1):
    return CudnnKernel(
        100, most_numbers, SimpleNamespace(forward=CpuKernel().forward, backward=CpuKernel().backward)
    )


def test_long_documents_are_cudnns_and_short_ones_are_not(cudnn):
    assert errors(kernel_of(), Segments.causal(PACKED, CPU)) <= 1e-5
    assert cudnn.asked == [(200, 200, True), (150, 150, True)]


def test_tiles_of_a_ring_are_cudnns_too(cudnn):
    assert errors(kernel_of(), Segments.dense(120, 310, CPU)) <= 1e-5
    assert cudnn.asked == [(120, 310, False)]


def test_windows_and_large_heads_stay_with_flash(cudnn):
    assert errors(kernel_of(), Segments.causal((0, 300), CPU, window=50)) <= 1e-5
    assert errors(kernel_of(), Segments.causal((0, 300), CPU), head_dim=136) <= 1e-5
    assert cudnn.asked == []


def test_too_many_numbers_for_one_tensor_are_taken_by_groups_of_heads(cudnn):
    most = 300 * 3 * 16
    assert errors(kernel_of(most), Segments.causal((0, 300), CPU)) <= 1e-5
    assert cudnn.numbers == [most, most]
