import pytest
import torch

from app.faults import UserError
from app.training.parallel.cpu_kernel import CpuKernel
from app.training.parallel.cudnn_kernel import CudnnKernel
from app.training.parallel.flash_kernel import FlashKernel
from app.training.parallel.kernels import kernel_of
from app.training.parallel.segments import Segments
from benchmarks.attention_check import TOLERANCES, Inputs, by_kernel, by_mathematics, check_attention

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_kernels_compute_attention(dtype):
    checks = list(check_attention(CPU, dtype, head_dims=(16,)))
    assert len(checks) == 27
    assert {check.name: check.errors for check in checks if not check.worst <= TOLERANCES[dtype]} == {}


def test_each_device_has_its_kernel():
    assert isinstance(kernel_of(CPU), CpuKernel)
    assert isinstance(kernel_of(CUDA), FlashKernel)
    assert isinstance(kernel_of(CUDA, "cudnn"), CudnnKernel)
    with pytest.raises(UserError, match=r"train\.attention_kernel: cudnn needs CUDA"):
        kernel_of(CPU, "cudnn")
    words = {kernel_of(*which).describe() for which in ((CPU,), (CUDA,), (CUDA, "cudnn"))}
    assert len(words) == 3


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
