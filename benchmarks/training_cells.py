"""Which models are trained at which lengths on a GPU, and in which order."""

from dataclasses import dataclass

from benchmarks.training_steps import Shape


@dataclass(frozen=True)
class Model:
    """A shape, and what of its training state a single GPU holds."""

    shape: Shape
    with_optimizer: bool
    holds: str


@dataclass(frozen=True)
class Cell:
    """One model at one length."""

    model: str
    num_tokens: int
    document_tokens: int | None = None
    """Length of packed documents; None: a single one."""

    @property
    def boundaries(self) -> list[int]:
        """Starts of the documents, and the end."""
        return [*range(0, self.num_tokens, self.document_tokens or self.num_tokens), self.num_tokens]

    @property
    def key(self) -> str:
        """What tells it from others of its side."""
        return f"{self.model} {self.num_tokens} {self.document_tokens}"

    def num_steps(self, most_repeated_tokens: int) -> int:
        """Steps that are made; of several the first is not timed."""
        return 3 if self.num_tokens <= most_repeated_tokens else 1


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
K = 1024
CELLS = {
    "project": (
        *(Cell(SMALL, tokens) for tokens in (32 * K, 128 * K, 256 * K)),
        *(Cell(LARGE, tokens) for tokens in (32 * K, 128 * K)),
        # Memory is that of a single document, time is not: all that fits of a million tokens on one GPU in minutes.
        Cell(SMALL, 1024 * K, 32 * K),
        Cell(LARGE, 256 * K),
        *(Cell(SMALL, tokens) for tokens in (512 * K, 1024 * K)),
        *(Cell(LARGE, tokens) for tokens in (512 * K, 1024 * K)),
    ),
    "plain": tuple(Cell(model, tokens) for model in MODELS for tokens in (32 * K, 64 * K, 128 * K)),
}
"""In the order of their worth for the time they take; what does not fit into the budget is left for another run."""

REHEARSAL = {
    name: Model(Shape(64, 2, 4, 2, 16, 128, 256, model.shape.tie_weights), model.with_optimizer, model.holds)
    for name, model in MODELS.items()
}
REHEARSAL_CELLS = {
    "project": (Cell(SMALL, 512), Cell(LARGE, 512), Cell(SMALL, 1024, 256), Cell(LARGE, 64 * K)),
    "plain": (Cell(SMALL, 512), Cell(LARGE, 512)),
}
