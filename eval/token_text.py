"""Texts with their tokens, joined without tokenizing them again.

Tokens depend on their neighbours: the tokens of two texts side by side are not those of the joined text. But the
difference ends a few tokens from the seam. So only a window around each seam is tokenized, and where its tokens are the
known ones again, on both sides, the known ones go on. A prompt of a million tokens is put together in milliseconds
out of a haystack that was tokenized once, and has the tokens that the whole text has.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.tokens import Tokenizer

EDGE_TOKENS = 16
"""Looked at on both sides of a seam at first; four times as many each time that these are not enough."""

Ids = npt.NDArray[np.int32]
Ends = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TokenText:
    """A text and its tokens."""

    text: str
    ids: Ids
    """`[tokens]`."""
    ends: Ends
    """`[tokens]`, ascending: the position in the text after each token."""

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.ids)

    def cut(self, first: int, last: int) -> "TokenText":
        """The tokens `first` to `last`, the latter not included, and their text."""
        start = int(self.ends[first - 1]) if first else 0
        stop = int(self.ends[last - 1]) if last else 0
        return TokenText(self.text[start:stop], self.ids[first:last], self.ends[first:last] - start)


EMPTY = TokenText("", np.zeros(0, np.int32), np.zeros(0, np.int64))


def tokenize(tokenizer: Tokenizer, text: str) -> TokenText:
    """The tokens of a text by itself; special tokens only where it spells them."""
    ids, offsets = tokenizer.encode_with_offsets(text)
    ends = np.fromiter((end for _, end in offsets), dtype=np.int64, count=len(offsets))
    return TokenText(text, np.array(ids, np.int32), np.maximum.accumulate(ends) if len(ends) else ends)


def join(tokenizer: Tokenizer, parts: Iterable[TokenText]) -> TokenText:
    """One text out of several, with the tokens that it has as a whole."""
    seams = _Joiner(tokenizer)
    for part in parts:
        seams.append(part)
    return seams.joined()


class _Joiner:
    """What was appended: closed parts, and an open one whose last tokens the next seam may change.

    Short parts wait for the next long one, so that both their sides are looked at in one window.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._closed: list[TokenText] = []
        self._open: TokenText | None = None
        self._waiting = ""
        self._num_waiting = 0

    def append(self, part: TokenText) -> None:
        if not part.text:
            return
        if self._open is None:
            self._open = part
        elif self._num_waiting + len(part) < EDGE_TOKENS:
            self._waiting += part.text
            self._num_waiting += len(part)
        else:
            self._grow(part)

    def joined(self) -> TokenText:
        if self._waiting:
            self._grow(EMPTY)
        return _concatenate([*self._closed, *([self._open] if self._open is not None else [])])

    def _grow(self, part: TokenText) -> None:
        """Append the pending text and a part."""
        assert self._open is not None
        between, self._waiting, self._num_waiting = self._waiting, "", 0
        edge = EDGE_TOKENS
        while edge < 4 * max(len(self._open), len(part)):
            seam = _seam(self._tokenizer, self._open, between, part, edge, is_start=not self._closed)
            if seam is not None:
                self._mend(part, *seam)
                return
            edge *= 4
        whole = _concatenate([*self._closed, self._open])
        self._closed, self._open = [], tokenize(self._tokenizer, whole.text + between + part.text)

    def _mend(self, part: TokenText, num_kept: int, middle: TokenText, first: int) -> None:
        assert self._open is not None
        rest = part.cut(first, len(part))
        far = max(num_kept - EDGE_TOKENS, 0)
        near = [self._open.cut(far, num_kept), middle]
        self._closed.append(self._open.cut(0, far))
        if len(rest) >= EDGE_TOKENS:
            self._closed += near
            self._open = rest
        else:
            self._open = _concatenate([*near, rest])


def _seam(
    tokenizer: Tokenizer, left: TokenText, between: str, right: TokenText, edge: int, is_start: bool
) -> tuple[int, TokenText, int] | None:
    """How two texts, and one between them, grow together.

    Returns:
        How many tokens of the left one stay, what comes between, and the first token of the right one that stays;
        None where the window is too small to tell.
    """
    begin, end = max(len(left) - edge, 0), min(edge, len(right))
    tail, head = left.cut(begin, len(left)), right.cut(0, end)
    # A cut tail has lost what stood before it: its first token may be another one in the window.
    shift = len(tail.text) + len(between)
    window = tokenize(tokenizer, tail.text + between + head.text)
    index_at = {int(position): index for index, position in enumerate(window.ends)}

    def meets(known: TokenText, index: int, moved: int) -> int | None:
        """Where the window has this token and the one before it, too."""
        at = index_at.get(int(known.ends[index]) + moved)
        if at is None or index < 1 or at < 1:
            return None
        same_ids = window.ids[at] == known.ids[index] and window.ids[at - 1] == known.ids[index - 1]
        return at if same_ids and window.ends[at - 1] == known.ends[index - 1] + moved else None

    last_kept, first_new = _first(lambda index: meets(tail, index, 0), range(len(tail) - 1, 0, -1))
    if last_kept is None:
        if not (is_start and begin == 0):
            return None
        first_new = -1
    num_kept = begin + last_kept + 1 if last_kept is not None else 0
    first_kept, end_new = _first(lambda index: meets(head, index, shift), range(1, len(head)))
    if first_kept is None or end_new <= first_new:
        if end < len(right):
            return None
        first_kept, end_new = len(right), len(window)
    # If a middle begins after a kept token, its text begins there.
    return num_kept, window.cut(first_new + 1, end_new), first_kept


def _first(find: Callable[[int], int | None], indices: Iterable[int]) -> tuple[int | None, int]:
    for index in indices:
        if (found := find(index)) is not None:
            return index, found
    return None, -1


def _concatenate(parts: list[TokenText]) -> TokenText:
    if not parts:
        return EMPTY
    starts = np.cumsum([0, *(len(part.text) for part in parts[:-1])])
    return TokenText(
        "".join(part.text for part in parts),
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.ends + start for part, start in zip(parts, starts, strict=True)]),
    )
