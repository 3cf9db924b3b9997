"""What `tests/training/parallel/test_kernels.py` checks on a CPU, with the kernels of CUDA."""

import pytest
import torch

from benchmarks.attention_check import TOLERANCES, check_attention, check_long

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
DEVICE = torch.device("cuda", 0)


@pytest.mark.parametrize("kernel", ["flash", "cudnn"])
@pytest.mark.parametrize("head_dim", [64, 96, 128])
def test_the_kernels_compute_attention(head_dim, kernel):
    checks = list(check_attention(DEVICE, torch.bfloat16, (head_dim,), kernel))
    assert {c.name: c.errors for c in checks if not c.worst <= TOLERANCES[torch.bfloat16]} == {}


@pytest.mark.parametrize("kernel", ["flash", "cudnn"])
def test_a_million_tokens_do_not_overflow_the_kernels_indices(kernel):
    memory = torch.cuda.get_device_properties(DEVICE).total_memory
    if memory < 60 * 2**30:
        pytest.skip("needs 60 GiB")
    assert check_long(DEVICE, 2**20, 2**15, kernel).worst <= TOLERANCES[torch.bfloat16]
