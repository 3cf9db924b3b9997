"""Results of attention that wait for the backward pass, so that a layer that is computed again finds them there.

Attention is most of the work on a long sequence. Its backward pass needs its inputs, its output and the log-sum-exp,
but none of the forward pass in between: a checkpoint that keeps both results saves the whole kernel.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor

Results = tuple[Tensor, Tensor]
"""Output and log-sum-exp of one attention on this rank, before Ulysses takes the output back."""


class KeptResults:
    """The results of all attentions of one pass through a layer, in the order of their calls.

    Args:
        pack: Moves a tensor to where it waits.
        unpack: Brings it back.
    """

    def __init__(self, pack: Callable[[Tensor], Any], unpack: Callable[[Any], Tensor]) -> None:
        self._pack, self._unpack = pack, unpack
        self._kept: list[tuple[Any, Any]] = []
        # Of the call that is answered next; None: calls are computed.
        self._next: int | None = None

    def contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Around the pass that keeps, and around each that computes the layer again; for torch's checkpoint."""
        return self._inside(None), self._inside(0)

    @contextmanager
    def _inside(self, first: int | None) -> Iterator[None]:
        self._next = first
        token = _KEPT.set(self)
        try:
            yield
        finally:
            _KEPT.reset(token)

    def answer(self, compute: Callable[[], Results]) -> Results:
        """Compute and keep, or give what the same call gave before."""
        if self._next is None:
            results = compute()
            # Detached: autograd makes the tensor that a function returns a part of its graph.
            self._kept.append((self._pack(results[0].detach()), self._pack(results[1].detach())))
            return results
        assert self._next < len(self._kept), "a layer that is computed again attends more often than before"
        output, log_sum_exp = self._kept[self._next]
        self._next += 1
        return self._unpack(output).detach(), self._unpack(log_sum_exp).detach()


_KEPT: ContextVar[KeptResults | None] = ContextVar("kept_results", default=None)


def computed_once(compute: Callable[[], Results]) -> Results:
    """Results of an attention, which is computed unless a layer that keeps them is computed again."""
    kept = _KEPT.get()
    return compute() if kept is None else kept.answer(compute)
