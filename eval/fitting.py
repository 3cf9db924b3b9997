"""How much haystack a prompt of a given length takes."""

from collections.abc import Callable

from eval.token_text import TokenText

MAX_ROUNDS = 8
SLACK_TOKENS = 4
"""Tokens may melt or split at the seams, so that the last few are not worth another round."""


def fit(build: Callable[[int], TokenText], limit_tokens: int, fixed_tokens: int) -> TokenText:
    """The longest prompt that is not above the limit, or one unit of its haystack shorter than that.

    Args:
        build: Makes the prompt with at most so many tokens of haystack: it gives whole units, as many as fit, and
            the same for the same number.
        limit_tokens: Of the whole prompt.
        fixed_tokens: About what the prompt has besides the haystack.

    Raises:
        ValueError: without any haystack it is above the limit.
    """
    # The numbers of haystack tokens that are known to fit, and not to.
    best: TokenText | None = None
    fits, fits_not = 0, limit_tokens + 1
    wanted = max(limit_tokens - fixed_tokens, 0)
    for _ in range(MAX_ROUNDS):
        built = build(wanted)
        missing = limit_tokens - len(built)
        if missing >= 0:
            if best is not None and len(built) <= len(best):
                break
            best, fits = built, wanted
        else:
            fits_not = wanted
        if 0 <= missing <= SLACK_TOKENS or fits_not - fits <= 1:
            break
        wanted = min(max(wanted + missing, fits if best is not None else 0), fits_not - 1)
        if best is not None and wanted == fits:
            break
    if best is None:
        best = build(0)
        if len(best) > limit_tokens:
            raise ValueError(
                f"lengths_tokens: {limit_tokens} tokens are too few for a prompt that has {len(best)} without a "
                f"haystack; give more"
            )
    return best
