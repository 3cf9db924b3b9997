"""The steps of the kit, in the order of their worth, and the longest time that each may take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KitStep:
    """One part of the kit, measured by `benchmarks.gpu_kit.NAME` in a process of its own."""

    name: str
    what: str
    box_sec: float
    """After so long its process is ended; what it has found until then is kept."""


STEPS = (
    KitStep("machine", "versions, and how fast the machine multiplies and copies", 40),
    KitStep("model", "SmolLM2-135M-Instruct, converted from its wheel", 60),
    KitStep("exact", "attention kernels against float64", 60),
    KitStep("ranks", "ring and Ulysses, several ranks on one GPU, against float64", 60),
    KitStep("rates", "how fast the attention kernels are", 60),
    KitStep("training", "training steps of 1B and 8B shapes, this project's and plain transformers'", 200),
    KitStep("extension", "SmolLM2 from 8k to 32k and 64k, needles before and after", 300),
    KitStep("longest", "the longest sequence that a step takes", 150),
    KitStep("probe", "the RoPE that the probe chooses, against a full sweep", 150),
    KitStep("tests", "tests/gpu", 60),
)
BY_NAME = {step.name: step for step in STEPS}
