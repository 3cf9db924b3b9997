"""What goes when the documents of a draft are longer than its target, and in which order.

Distractor documents go first, the lowest ranked whole and the last one in part. When evidence documents alone are too
long, the passages farthest from any evidence follow. Evidence itself is never cut.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from app.schema import ContextDocument
from app.tokens import Tokenizer

MIN_BODY_TOKENS = 16
"""A distractor is dropped rather than cut below this: a header over three words teaches nothing."""

Stretch = tuple[int, int]
"""Character range of a document's text."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one document that may be shortened or dropped: a distractor's text, or one passage."""

    rank: int
    """Index of its document in the draft."""
    start_char: int
    end_char: int
    keeps_start: bool
    """Whether shortening removes text from its end (true) or its start (false)."""
    header_tokens: int
    """Tokens of the header that is dropped with it; 0 for a passage of an evidence document, whose header stays."""
    body_tokens: int
    """Tokens of the text alone."""

    @property
    def num_tokens(self) -> int:
        return self.header_tokens + self.body_tokens

    @property
    def min_tokens(self) -> int:
        """Fewest tokens that it may be shortened to without going altogether."""
        return self.header_tokens + min(MIN_BODY_TOKENS, self.body_tokens) if self.header_tokens else 0


class Trimmer:
    """The pieces of one draft's documents in the order in which they go, each measured once by itself.

    Measured apart, texts count a token more or fewer at their borders than in the whole: budgets are estimates, which
    the caller corrects by what a whole context turns out to count.
    """

    def __init__(
        self,
        documents: list[ContextDocument],
        header_tokens: list[int],
        evidence_ids: set[str],
        depths: dict[int, float],
        tokenizer: Tokenizer,
    ) -> None:
        """Measure the documents.

        Args:
            documents: Ranked, as retrieved.
            header_tokens: Tokens of the header above each document.
            evidence_ids: Passages that stay whole.
            depths: Evidence document's index → where in the context it will stand. Its text is shortened so that the
                evidence stands at the same depth in what is left of it.
            tokenizer: Tokenizer of the model to be trained.
        """
        self._tokenizer = tokenizer
        self._texts = [document.text for document in documents]
        self._gaps = [document.gaps for document in documents]
        self._evidence: dict[int, list[Stretch]] = {rank: [] for rank in depths}
        self._starts: dict[int, list[int]] = {}
        unordered: list[tuple[tuple[float, ...], Piece]] = []
        self.fixed_tokens = 0
        for rank, document in enumerate(documents):
            if rank not in depths:
                text = self._texts[rank]
                piece = Piece(rank, 0, len(text), True, header_tokens[rank], tokenizer.count(text))
                unordered.append(((0.0, -rank), piece))
                continue
            self.fixed_tokens += header_tokens[rank]
            body_tokens = tokenizer.count_batch([passage.text for passage in document.passages])
            borders = _borders(document)
            wanted = [passage.passage_id in evidence_ids for passage in document.passages]
            for index, distance, keeps_start in _distances(wanted, depths[rank]):
                if distance:
                    piece = Piece(rank, *borders[index], keeps_start, 0, body_tokens[index])
                    unordered.append(((1.0, -distance, -rank, index), piece))
                else:
                    self.fixed_tokens += body_tokens[index]
                    self._evidence[rank].append(borders[index])
        self.pieces = [piece for _, piece in sorted(unordered, key=lambda item: item[0])]
        self.num_tokens = self.fixed_tokens + sum(piece.num_tokens for piece in self.pieces)

    def plan(self, budget_tokens: int) -> list[int] | None:
        """Tokens to keep of each piece so that about `budget_tokens` are kept of all documents; `None`: evidence alone
        is more.

        The sum falls short of the budget when the last distractor would be too short to be worth its header.
        """
        kept = [piece.num_tokens for piece in self.pieces]
        surplus = self.num_tokens - budget_tokens
        for index, piece in enumerate(self.pieces):
            if surplus <= 0:
                break
            whole = surplus >= piece.num_tokens
            removed = piece.num_tokens if whole else min(surplus, piece.num_tokens - piece.min_tokens)
            kept[index] -= removed
            surplus -= removed
        for index in range(len(kept)):
            if surplus <= 0:
                break
            surplus -= kept[index]
            kept[index] = 0
        return kept if surplus <= 0 else None

    def cut_index(self, kept: list[int]) -> int | None:
        """The piece whose length settles the last tokens: the one that is shortened, else the next to go."""
        whole = None
        for index in reversed(range(len(kept))):
            if 0 < kept[index] < self.pieces[index].num_tokens:
                return index
            if kept[index]:
                whole = index
        return whole

    def stretches(self, kept: list[int]) -> dict[int, list[Stretch]]:
        """Document's index → what is kept of its text, in its order, neighbours joined where the text has no gap."""
        found: dict[int, list[Stretch]] = {rank: list(ranges) for rank, ranges in self._evidence.items()}
        for index, num_tokens in enumerate(kept):
            if num_tokens and (stretch := self._shorten(index, num_tokens)):
                found.setdefault(self.pieces[index].rank, []).append(stretch)
        return {rank: _join(sorted(ranges), self._gaps[rank]) for rank, ranges in found.items()}

    def _shorten(self, index: int, num_tokens: int) -> Stretch | None:
        piece = self.pieces[index]
        body_tokens = num_tokens - piece.header_tokens
        if body_tokens >= piece.body_tokens:
            return piece.start_char, piece.end_char
        if index not in self._starts:
            text = self._texts[piece.rank][piece.start_char : piece.end_char]
            self._starts[index] = [start for start, _ in self._tokenizer.offsets(text)]
        starts = self._starts[index]
        if piece.keeps_start:
            start_char, end_char = piece.start_char, piece.start_char + starts[body_tokens]
        else:
            # A stretch of 0 tokens starts where the piece ends.
            kept_from = (starts[-body_tokens] + piece.start_char) if body_tokens else piece.end_char
            start_char, end_char = kept_from, piece.end_char
        return (start_char, end_char) if start_char < end_char else None


def _borders(document: ContextDocument) -> list[Stretch]:
    borders: list[Stretch] = []
    end_char = 0
    for passage in document.passages:
        borders.append((end_char, end_char + len(passage.text)))
        end_char += len(passage.text)
    return borders


def _distances(is_evidence: list[bool], depth: float) -> Iterator[tuple[int, float, bool]]:
    """For each passage: its index, its distance from evidence (0: it is evidence), and whether the evidence precedes
    it.

    Before the first and after the last evidence, distances are scaled so that the text kept on both sides has the ratio
    of the wanted depth.
    """
    found = [index for index, wanted in enumerate(is_evidence) if wanted]
    assert found, "a document without evidence has no distances"
    before_share, after_share = max(depth, 0.01), max(1.0 - depth, 0.01)
    for index in range(len(is_evidence)):
        if index < found[0]:
            yield index, (found[0] - index) / before_share, False
        elif index > found[-1]:
            yield index, (index - found[-1]) / after_share, True
        else:
            left = max(place for place in found if place <= index)
            right = min(place for place in found if place >= index)
            yield index, 2.0 * min(index - left, right - index), index - left <= right - index


def _join(ranges: list[Stretch], gaps: list[int]) -> list[Stretch]:
    """Ranges without those borders that are no gaps, and with a border at each gap."""
    joined: list[Stretch] = []
    for start_char, end_char in ranges:
        inside = [gap for gap in gaps if start_char < gap < end_char]
        for start, end in pairwise([start_char, *inside, end_char]):
            if joined and joined[-1][1] == start and start not in gaps:
                joined[-1] = (joined[-1][0], end)
            else:
                joined.append((start, end))
    return joined
