"""Which tokens of a sequence each rank of a sequence-parallel group holds.

The group is a ring of Ulysses groups. Along the ring the sequence is cut into `2 * ring_size` chunks, of which ring
rank `r` holds chunk `r` and chunk `2 * ring_size - 1 - r`, so that causal attention costs each rank the same (zigzag).
Inside a Ulysses group those tokens are cut into equal stretches. Ranks of one Ulysses group are neighbours, as theirs
is the heavier traffic.
"""

from dataclasses import dataclass

from app.faults import UserError

MOST_HEAD_WASTE = 1.34
"""Heads with padding over heads: where Ulysses would pad more, a ring takes over."""


@dataclass(frozen=True)
class SequenceLayout:
    """Sizes of the ring and of a Ulysses group; rank `r * ulysses_size + u` is ring rank `r`, Ulysses rank `u`."""

    ring_size: int = 1
    ulysses_size: int = 1

    @property
    def size(self) -> int:
        """Ranks that share one sequence."""
        return self.ring_size * self.ulysses_size

    def padded_tokens(self, num_tokens: int) -> int:
        """Length that all ranks share evenly: what `num_tokens` are padded to."""
        unit = self.ulysses_size if self.ring_size == 1 else 2 * self.size
        return -(-num_tokens // unit) * unit

    def spans(self, rank: int, padded_tokens: int) -> list[tuple[int, int]]:
        """Stretches `[start, stop)` of the padded sequence that a rank holds, in the order it holds them."""
        ring_rank, ulysses_rank = divmod(rank, self.ulysses_size)
        own_tokens = padded_tokens // self.size
        begin, end = ulysses_rank * own_tokens, (ulysses_rank + 1) * own_tokens
        spans, held = [], 0
        for start, stop in self.ring_spans(ring_rank, padded_tokens):
            low, high = max(begin, held), min(end, held + stop - start)
            if low < high:
                spans.append((start + low - held, start + high - held))
            held += stop - start
        return spans

    def ring_spans(self, ring_rank: int, padded_tokens: int) -> list[tuple[int, int]]:
        """Stretches that a whole Ulysses group holds together."""
        if self.ring_size == 1:
            return [(0, padded_tokens)]
        chunk = padded_tokens // (2 * self.ring_size)
        last = 2 * self.ring_size - 1 - ring_rank
        return [(ring_rank * chunk, (ring_rank + 1) * chunk), (last * chunk, (last + 1) * chunk)]


def layout_of(size: int, mode: str, num_heads: int, ulysses_size: int | None = None) -> SequenceLayout:
    """Share `size` ranks between Ulysses and the ring.

    Args:
        size: Ranks that share one sequence.
        mode: `ulysses` takes as many ranks for Ulysses as the heads allow without much padding; `ring` takes none.
        num_heads: Query heads of the model.
        ulysses_size: Overrules the mode; divides `size`.

    Raises:
        UserError: A Ulysses group would have more ranks than there are heads.
    """
    if ulysses_size is None:
        ulysses_size = 1 if mode == "ring" else _largest_ulysses_size(size, num_heads)
    if ulysses_size > num_heads:
        raise UserError(
            f"ulysses_size: {ulysses_size} is more than the model's {num_heads} heads; at most "
            f"{_largest_ulysses_size(size, num_heads)}"
        )
    assert size % ulysses_size == 0
    return SequenceLayout(size // ulysses_size, ulysses_size)


def _largest_ulysses_size(size: int, num_heads: int) -> int:
    def waste(ranks: int) -> float:
        return -(-num_heads // ranks) * ranks / num_heads

    divisors = [ranks for ranks in range(1, size + 1) if size % ranks == 0]
    return max(ranks for ranks in divisors if ranks <= num_heads and waste(ranks) <= MOST_HEAD_WASTE)
