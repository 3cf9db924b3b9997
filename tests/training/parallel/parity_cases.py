"""Cases in which several processes must find the loss and the gradients of one, and the sequences they work on."""

from dataclasses import asdict, dataclass, field

import numpy as np

from tests.models.families import FAMILIES

VOCABULARY = 96
HEAD_DIM = 8


@dataclass(frozen=True)
class Case:
    """One distributed training step; see `parity_worker`."""

    num_processes: int
    sequence_parallel_size: int
    mode: str = "ulysses"
    ulysses_size: int | None = None
    heads: tuple[int, int] = (8, 2)
    """Query heads, key and value heads."""
    lengths: tuple[tuple[int, ...], ...] = ((64,),)
    """Documents of each sequence of the batch; all sequences are as long."""
    checkpoint: bool = False
    keep_attention: bool = True
    mlp_tile_tokens: int | None = None
    loss_chunk_tokens: int = 1000
    offload: bool = False
    unlearned: tuple[int, ...] = ()
    """Sequences of the batch without a label."""
    model_type: str = "llama"
    tie_weights: bool = False
    sliding_window: int | None = None
    router_loss_weight: float = 0.0
    family: str | None = None
    """One of `families.FAMILIES`, instead of a model of these sizes."""

    @property
    def kind(self) -> str:
        """Cases of one kind are computed by the same processes."""
        return "others" if self.family is None else "families"

    @property
    def name(self) -> str:
        changed = {key: value for key, value in asdict(self).items() if value != getattr(Case(1, 1), key)}
        return "-".join(f"{key}={value}".replace(" ", "") for key, value in changed.items())


@dataclass
class MemorySequences:
    """Packed sequences in memory, with random tokens; about a third of them is not learned."""

    lengths: tuple[tuple[int, ...], ...]
    unlearned: tuple[int, ...] = ()
    tokens: np.ndarray = field(init=False)
    is_target: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        random = np.random.default_rng(7)
        shape = (len(self.lengths), sum(self.lengths[0]))
        self.tokens = random.integers(0, VOCABULARY, shape).astype(np.int32)
        self.is_target = random.random(shape) < 0.7
        for index in range(len(self.lengths)):
            self.is_target[index, self.starts(index)] = False
        self.is_target[list(self.unlearned)] = False

    @property
    def num_sequences(self) -> int:
        return len(self.lengths)

    @property
    def seq_tokens(self) -> int:
        return self.tokens.shape[1]

    def starts(self, index: int) -> np.ndarray:
        return np.cumsum((0, *self.lengths[index][:-1]))

    def num_targets(self, index: int) -> int:
        return int(self.is_target[index].sum())

    def read(self, index: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        return self.tokens[index, start:stop], self.is_target[index, start:stop]


PACKED = ((20, 1, 30, 13),)
"""Documents that begin and end inside chunks, one of a single token, one over several chunks."""
ODD = ((17, 37, 7),)
"""61 tokens: no number of ranks divides them."""
BATCH = ((64,), (20, 1, 30, 13), (31, 33), (5, 50, 9))

CASES = [
    # One process: everything but the communication.
    Case(1, 1, lengths=PACKED),
    Case(1, 1, lengths=BATCH, checkpoint=True, mlp_tile_tokens=10, loss_chunk_tokens=7, offload=True),
    Case(1, 1, lengths=PACKED, model_type="qwen2"),
    Case(1, 1, lengths=PACKED, model_type="qwen3"),
    Case(1, 1, lengths=PACKED, model_type="mistral"),
    Case(1, 1, lengths=PACKED, model_type="gemma"),
    # Two.
    Case(2, 1, lengths=BATCH),
    Case(2, 1, lengths=BATCH[:3], unlearned=(1,)),
    Case(2, 2),
    Case(2, 2, mode="ring"),
    Case(2, 2, lengths=PACKED),
    Case(2, 2, mode="ring", lengths=PACKED),
    Case(2, 2, lengths=ODD, heads=(9, 3)),
    Case(2, 2, mode="ring", lengths=ODD, heads=(9, 3)),
    Case(2, 2, lengths=PACKED, heads=(6, 3)),
    Case(2, 2, lengths=BATCH, checkpoint=True, mlp_tile_tokens=10, loss_chunk_tokens=7),
    Case(2, 2, mode="ring", lengths=BATCH, checkpoint=True, mlp_tile_tokens=10, loss_chunk_tokens=7),
    Case(2, 2, lengths=PACKED, checkpoint=True, keep_attention=False),
    Case(2, 2, mode="ring", lengths=PACKED, checkpoint=True, keep_attention=False),
    Case(2, 2, lengths=PACKED, offload=True, tie_weights=True),
    Case(2, 2, lengths=BATCH, unlearned=(0, 2), mode="ring"),
    Case(2, 2, lengths=PACKED, model_type="gemma", heads=(4, 1)),
    # Padding reaches beyond the window, no document does.
    Case(2, 2, lengths=((61,), (30, 31)), heads=(9, 3), model_type="mistral", sliding_window=61),
    # Three, of which one is too many.
    Case(3, 2, lengths=BATCH[:3]),
    # Four.
    Case(4, 4),
    Case(4, 4, mode="ring"),
    Case(4, 4, ulysses_size=2),
    Case(4, 4, lengths=PACKED),
    Case(4, 4, mode="ring", lengths=PACKED),
    Case(4, 4, ulysses_size=2, lengths=PACKED),
    Case(4, 4, lengths=ODD, heads=(9, 3)),
    Case(4, 4, mode="ring", lengths=ODD, heads=(9, 3)),
    Case(4, 4, ulysses_size=2, lengths=ODD, heads=(9, 3)),
    Case(4, 4, lengths=PACKED, heads=(6, 3), ulysses_size=4),
    Case(4, 4, lengths=PACKED, heads=(2, 1)),
    Case(4, 4, ulysses_size=2, lengths=BATCH, checkpoint=True, mlp_tile_tokens=5, loss_chunk_tokens=7),
    Case(4, 2, lengths=BATCH),
    Case(4, 2, mode="ring", lengths=BATCH),
    Case(4, 2, lengths=BATCH[:3], checkpoint=True, mlp_tile_tokens=10, loss_chunk_tokens=7, heads=(9, 3)),
    Case(4, 2, mode="ring", lengths=BATCH[:3], checkpoint=True, heads=(6, 3), unlearned=(2,)),
]  # fmt: skip

# One of each kind of families by Ulysses and on four ranks, all by a ring; layers are computed again, as on a GPU.
KINDS = ("granite", "phi", "stablelm", "qwen3_moe", "gemma3_text", "gpt_oss")
CASES += [
    Case(2, 2, mode="ring", family=family, heads=(4, 2), lengths=PACKED, checkpoint=True, loss_chunk_tokens=7)
    for family in FAMILIES
]
CASES += [
    Case(2, 2, family=family, heads=(4, 2), lengths=PACKED, checkpoint=True, mlp_tile_tokens=10)
    for family in KINDS
]
CASES += [
    Case(4, 4, ulysses_size=size, family=family, heads=(4, 2), lengths=PACKED, checkpoint=True)
    for family in KINDS
    for size in (4, 2, 1)
]
CASES += [
    Case(
        2,
        size,
        mode=mode,
        family=family,
        heads=(4, 2),
        lengths=BATCH[:num],
        checkpoint=True,
        mlp_tile_tokens=tile,
        router_loss_weight=0.5,
    )
    for family, tile in (("qwen3_moe", None), ("mixtral", 10))
    for num, size, mode in ((3, 1, "ulysses"), (2, 2, "ulysses"), (2, 2, "ring"))
]
