import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from app.faults import UserError
from app.training.parallel.flash_kernel import FlashKernel
from app.training.parallel.segments import Segments


@pytest.mark.parametrize("window", [None, 64])
def test_the_operators_take_what_they_are_given(window):
    kernel = FlashKernel()
    with FakeTensorMode():
        query, key = (torch.empty(300, heads, 64, device="cuda", dtype=torch.bfloat16) for heads in (8, 2))
        segments = Segments.causal((0, 100, 300), query.device, window)
        output, log_sum_exp = kernel.forward(query, key, key, segments, 0.125)
        gradients = kernel.backward(output, query, key, key, output, log_sum_exp, segments, 0.125)
    assert output.shape == query.shape
    assert (log_sum_exp.shape, log_sum_exp.dtype) == ((8, 300), torch.float32)
    assert [part.shape for part in gradients] == [query.shape, key.shape, key.shape]


def test_a_gpu_takes_no_float32():
    with FakeTensorMode():
        query = torch.empty(3, 8, 64, device="cuda")
        with pytest.raises(UserError, match=r"train\.dtype: torch\.float32"):
            FlashKernel().forward(query, query, query, Segments.causal((0, 3), query.device), 1.0)
