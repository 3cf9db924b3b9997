"""Which models are trained at which lengths, by whom, and what of them one GPU holds."""

from dataclasses import dataclass

from app.training.parallel.kernels import KernelName
from benchmarks.training_steps import Shape


@dataclass(frozen=True)
class Model:
    """A shape, and what of its training state a single GPU holds."""

    shape: Shape
    with_optimizer: bool
    holds: str


@dataclass(frozen=True)
class Cell:
    """One model at one length, trained by one side."""

    side: str
    """`project`, or `plain` transformers."""
    model: str
    num_tokens: int
    document_tokens: int | None = None
    """Length of packed documents; None: a single one."""
    kernel: KernelName = "flash"
    """Attention kernel of the project's side."""
    keep_attention: bool = True
    """Whether the project's side keeps the attention's output for the backward pass."""

    @property
    def boundaries(self) -> list[int]:
        """Starts of the documents, and the end."""
        return [*range(0, self.num_tokens, self.document_tokens or self.num_tokens), self.num_tokens]

    @property
    def key(self) -> str:
        """What tells it from all others."""
        packed = f" in documents of {self.document_tokens}" if self.document_tokens else ""
        kernel = "" if self.kernel == "flash" else f", {self.kernel}"
        recomputed = "" if self.keep_attention else ", attention recomputed"
        return f"{self.side} {self.model} {self.num_tokens}{packed}{kernel}{recomputed}"


_FULL = (
    "a whole step: float32 master weights, computation in bfloat16, clipping, AdamW with both moments in float32 on "
    "the GPU"
)
_HALF = (
    "forward and backward pass with weights and gradients in bfloat16, without an optimizer: its state and float32 "
    "master weights, 16 bytes a parameter, are 128 GB and leave nothing for activations; in a run they are sharded"
)
SMALL, LARGE = "Llama-3.2-1B", "Llama-3.1-8B"
MODELS = {
    SMALL: Model(Shape(2048, 16, 32, 8, 64, 8192, 128256), True, _FULL),
    LARGE: Model(Shape(4096, 32, 32, 8, 128, 14336, 128256, tie_weights=False), False, _HALF),
}
REHEARSAL_MODELS = {
    name: Model(Shape(64, 2, 4, 2, 16, 128, 256, model.shape.tie_weights), model.with_optimizer, model.holds)
    for name, model in MODELS.items()
}
