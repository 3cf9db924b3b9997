import pytest

from app import machine
from app.machine import peak_flops_of
from app.quantities import GIB


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A100 80GB PCIe", 312),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 NVL", 835),
        ("NVIDIA H200", 989),
        ("NVIDIA H200 NVL", 836),
        ("NVIDIA GH200 480GB", 989),
        ("NVIDIA B200", 2250),
        ("NVIDIA GB200", 2500),
        ("NVIDIA L40S", 362),
    ],
)
def test_peaks_of_usual_devices(name, tflops):
    assert peak_flops_of(name) == tflops * 1e12


def test_a_container_has_no_more_memory_than_it_is_given(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "CGROUP_LIMIT", tmp_path / "memory.max")
    whole = machine.host_memory_bytes()
    assert whole > GIB / 4
    for text, expected in (("max\n", whole), ("1000\n", 1000), (f"{10**18}\n", whole)):
        (tmp_path / "memory.max").write_text(text)
        assert machine.host_memory_bytes() == expected
