"""Which stretches of queries and keys an attention kernel brings together: packed documents, or a tile of a ring."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class Part:
    """Neighbouring stretches that one kernel computes at once."""

    queries: slice
    keys: slice
    packed: "Segments | None"
    """The stretches, counted from the part's own start; None: a single long one."""


@dataclass(frozen=True)
class Segments:
    """Stretches of queries and of keys that meet each other and nothing else."""

    queries: tuple[int, ...]
    """Cumulative starts of the queries, `[0, ..., query tokens]`."""
    keys: tuple[int, ...]
    """Cumulative starts of the keys; with `is_causal` equal to `queries`."""
    is_causal: bool
    """Whether a query sees no key after its own position in the stretch."""
    device: torch.device
    """Device on which the kernel expects the starts."""
    num_before: int | None = None
    """Keys before a query's own place that it sees at most; the last query's place is the last key's. None: all."""

    _parts: dict[int, tuple[Part, ...]] = field(default_factory=dict, repr=False, compare=False)

    @staticmethod
    def causal(boundaries: Sequence[int], device: torch.device, window: int | None = None) -> "Segments":
        """Packed documents, each causal by itself; `boundaries` are `[0, ..., tokens]`.

        Args:
            boundaries: Starts of the documents and the end.
            device: Of the kernel.
            window: Tokens that a query sees, itself included; None: all before it.
        """
        num_before = None if window is None else window - 1
        return Segments(tuple(boundaries), tuple(boundaries), True, device, num_before)

    @staticmethod
    def dense(
        num_queries: int, num_keys: int, device: torch.device, num_before: int | None = None
    ) -> "Segments":
        """Every query sees every key from `num_before` before its own place on."""
        return Segments((0, num_queries), (0, num_keys), False, device, num_before)

    @cached_property
    def cumulative(self) -> tuple[Tensor, Tensor]:
        """Both starts as the kernel takes them, int32."""
        return tuple(
            torch.tensor(starts, dtype=torch.int32, device=self.device)
            for starts in (self.queries, self.keys)
        )

    @cached_property
    def longest(self) -> tuple[int, int]:
        """Most queries and most keys of one stretch."""
        return _longest(self.queries), _longest(self.keys)

    def parts(self, least_tokens: int) -> tuple[Part, ...]:
        """Stretches with so many queries and keys one by one, and those between them together; in order."""
        if least_tokens not in self._parts:
            self._parts[least_tokens] = tuple(self._split(least_tokens))
        return self._parts[least_tokens]

    def as_one_part(self) -> Part:
        """All stretches together."""
        return Part(slice(0, self.queries[-1]), slice(0, self.keys[-1]), self)

    def _split(self, least_tokens: int) -> Iterator[Part]:
        stretches = list(zip(pairwise(self.queries), pairwise(self.keys), strict=True))
        first = 0
        for number, ((start, stop), (low, high)) in enumerate(stretches):
            if min(stop - start, high - low) < least_tokens:
                continue
            yield from self._together(first, number)
            yield Part(slice(start, stop), slice(low, high), None)
            first = number + 1
        yield from self._together(first, len(stretches))

    def _together(self, first: int, last: int) -> Iterator[Part]:
        if first == last:
            return
        queries, keys = self.queries[first : last + 1], self.keys[first : last + 1]
        if len(queries) == len(self.queries):
            yield self.as_one_part()
            return
        packed = Segments(
            tuple(place - queries[0] for place in queries),
            tuple(place - keys[0] for place in keys),
            self.is_causal,
            self.device,
            self.num_before,
        )
        yield Part(slice(queries[0], queries[-1]), slice(keys[0], keys[-1]), packed)


def _longest(starts: Sequence[int]) -> int:
    return max((stop - start for start, stop in pairwise(starts)), default=0)
