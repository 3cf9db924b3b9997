"""Results of attention that wait for the backward pass, so that a layer that is computed again finds them there.

Attention is most of the work on a long sequence. Its backward pass needs its inputs, its output and the log-sum-exp,
but none of the forward pass in between: a checkpoint that keeps both results saves the whole kernel.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from typing import Any

from torch import Tensor

Results = tuple[Tensor, Tensor]
"""Output and log-sum-exp of one attention on this rank, before Ulysses takes the output back."""
Compute = Callable[[], Results]
_Answer = Callable[[Compute], Results]


class KeptResults:
    """The results of all attentions of one pass through a layer, in the order of their calls.

    Args:
        pack: Moves a tensor to where it waits.
        unpack: Brings it back.
        keeps: Whether anything is kept; otherwise attention is computed again with its layer.
    """

    def __init__(
        self, pack: Callable[[Tensor], Any], unpack: Callable[[Any], Tensor], keeps: bool = True
    ) -> None:
        self._pack, self._unpack, self._keeps = pack, unpack, keeps
        self._kept: list[tuple[Any, Any]] = []

    def contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Around the pass that keeps, and around each that computes the layer again; for torch's checkpoint."""
        return _Block(lambda: self._keep, False), _Block(self._giver, True)

    def _keep(self, compute: Compute) -> Results:
        results = compute()
        if self._keeps:
            # Detached: autograd makes the tensor that a function returns a part of its graph.
            self._kept.append((self._pack(results[0].detach()), self._pack(results[1].detach())))
        return results

    def _giver(self) -> _Answer:
        waiting = iter(self._kept)

        def give(compute: Compute) -> Results:
            if not self._keeps:
                return compute()
            packed = next(waiting, None)
            assert packed is not None, "a layer that is computed again attends more often than before"
            return self._unpack(packed[0]).detach(), self._unpack(packed[1]).detach()

        return give


_PASS: ContextVar[tuple[_Answer, bool] | None] = ContextVar("pass", default=None)
"""Who answers for an attention, and whether the layer is computed again."""


class _Block(AbstractContextManager[None]):
    """A pass through a layer; torch may enter it once for each backward pass."""

    def __init__(self, answer: Callable[[], _Answer], is_again: bool) -> None:
        self._answer, self._is_again = answer, is_again
        self._tokens: list[Token[tuple[_Answer, bool] | None]] = []

    def __enter__(self) -> None:
        self._tokens.append(_PASS.set((self._answer(), self._is_again)))

    def __exit__(self, *_: object) -> None:
        _PASS.reset(self._tokens.pop())


def computed_once(compute: Compute) -> Results:
    """Results of an attention, which is computed unless a layer that keeps them is computed again."""
    found = _PASS.get()
    return compute() if found is None else found[0](compute)


def is_computed_again() -> bool:
    """Whether a checkpointed layer is being computed again, for what its backward pass needs."""
    found = _PASS.get()
    return found is not None and found[1]
