"""Fits the haystack to the length of a prompt."""

from collections.abc import Callable, Sized
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from app.faults import UserError

Sizes = npt.NDArray[np.int64]
Built = TypeVar("Built", bound=Sized)


def fit(build: Callable[[int], Built], sizes_tokens: Sizes, limit_tokens: int) -> Built:
    """The prompt with the most units of haystack that is not above a limit.

    A prompt has about a size's tokens and some more around them. How many more is what each prompt that is built tells,
    so that the second one is the last where sizes are exact.

    Args:
        build: Makes the prompt of a size, given by its index; its length is in tokens. The same for the same index.
        sizes_tokens: `[sizes]`, ascending, one unit apart: about what haystacks have. The first is the least.
        limit_tokens: Largest length of the whole prompt.

    Returns:
        One that is not above the limit, though one unit more would be, or the last of the sizes.

    Raises:
        UserError: With the least haystack it is above the limit.
    """
    last = len(sizes_tokens) - 1
    index, built = 0, build(0)
    if len(built) > limit_tokens:
        raise UserError(
            f"lengths_tokens: {limit_tokens} tokens are too few for a prompt that has {len(built)} with the shortest "
            f"haystack; give more"
        )
    while True:
        around = len(built) - int(sizes_tokens[index])
        is_above = len(built) > limit_tokens
        if is_above:
            last = index - 1
        better = int(np.searchsorted(sizes_tokens[: last + 1], limit_tokens - around, side="right")) - 1
        if not is_above and better <= index:
            return built
        index = max(better, 0)
        built = build(index)
