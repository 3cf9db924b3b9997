"""The search for the one context that has exactly the target's number of tokens.

No sum of parts gives the exact length, as tokens merge across borders. A whole context is counted, the difference is
settled at one cut whose effect is predicted on the cut document alone, and the result is counted whole again: two
full tokenizations for almost every example.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from app.dataset.layout import SEPARATOR, Layout, header, lay_out, measure_depths
from app.dataset.ordering import draw_placement, given_placement
from app.dataset.trimming import Trimmer
from app.schema import Draft, Evidence, Message, Reject
from app.tokens import Tokenizer

MAX_ROUNDS = 6
MAX_STEPS = 4
NUM_NEIGHBOURS = 6
"""Cuts tried on both sides of the best guess before an elision is used."""
ELISIONS = (" ...", " …", " .", ".", " -", "*", " x", "#", "0", "\n~")
"""Appended until a count is met, the most natural first; several, as a tokenizer may merge or split any of them."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A context of the exact length."""

    messages: list[Message]
    num_tokens: int
    document_ids: list[str]
    evidence: list[Evidence]


def chat(user: str, assistant: str) -> list[Message]:
    """One exchange."""
    return [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]


def whole_chat(draft: Draft, user: str) -> list[Message]:
    """All turns of a draft's example; `user` is what the user says first."""
    return [*chat(user, draft.answer), *draft.follow_up]


class ContextFitter:
    """Fits one draft's documents to its target."""

    def __init__(self, draft: Draft, tokenizer: Tokenizer) -> None:
        self._draft = draft
        self._tokenizer = tokenizer
        self._evidence_ids = set(draft.evidence_ids)
        self._whole_ids = self._evidence_ids if draft.trimmed_ids is None else _ids_but(draft)
        ranks: list[int] = []
        found: set[str] = set()
        for rank, document in enumerate(draft.documents):
            if inside := self._whole_ids & {passage.passage_id for passage in document.passages}:
                ranks.append(rank)
                found |= inside
        self._evidence_texts = {
            passage.passage_id: passage.text for rank in ranks for passage in draft.documents[rank].passages
        }
        assert self._evidence_ids <= found, "evidence is a whole passage of the draft's documents"
        if draft.trimmed_ids is None:
            self._placement = draw_placement(draft.seed, len(draft.documents), ranks)
        else:
            self._placement = given_placement(len(draft.documents), ranks)
        # Line breaks before a letter count otherwise than at a text's end.
        headers = [
            f"{SEPARATOR}{header(rank + 1, document)}A" for rank, document in enumerate(draft.documents)
        ]
        header_tokens = [num_tokens - 1 for num_tokens in tokenizer.count_batch(headers)]
        self._trimmer = Trimmer(
            draft.documents, header_tokens, self._whole_ids, self._placement.depths, tokenizer
        )

    def fit(self) -> Fitted | Reject:
        """Trim to the target, or say why it cannot be met."""
        target_tokens = self._draft.seed.target_tokens
        budget_tokens = target_tokens - self._tokenizer.count_chat(self._chat(self._draft.instruction))
        num_tokens = 0
        for round_index in range(MAX_ROUNDS):
            kept = self._trimmer.plan(budget_tokens)
            if kept is None:
                least_tokens = target_tokens - budget_tokens + self._trimmer.fixed_tokens
                return self._reject(
                    "evidence exceeds target", f"about {least_tokens} of {target_tokens} tokens"
                )
            num_tokens, fitted = self._measure(self._lay_out(kept))
            if fitted:
                return fitted
            missing_tokens = target_tokens - num_tokens
            planned_tokens = self._trimmer.fixed_tokens + sum(kept)
            if missing_tokens > 0 and planned_tokens == self._trimmer.num_tokens:
                return self._reject("documents do not fill target", f"{num_tokens} of {target_tokens} tokens")
            # A short plan has nothing left that could grow, and one that two rounds could not settle will not be.
            may_elide = planned_tokens < budget_tokens or round_index >= 2
            if settled := self._settle(kept, missing_tokens, may_elide):
                num_tokens, fitted = self._measure(settled)
                if fitted:
                    return fitted
            budget_tokens += missing_tokens
        return self._reject("no exact cut", f"{num_tokens} of {target_tokens} tokens")

    def _settle(self, kept: list[int], missing_tokens: int, may_elide: bool) -> Layout | None:
        """Move the plan's cut, or end its document, else another, with an elision, so that `missing_tokens` are added.

        Returns:
            A layout that should have the right length; `None` when this plan has none.
        """
        index = self._trimmer.cut_index(kept)
        if index is None:
            # Nothing is left but evidence, which may only be added to.
            rank, low, high = next(iter(self._placement.depths), -1), 0, 0
            if rank < 0:
                return None
        else:
            piece = self._trimmer.pieces[index]
            rank, low, high = piece.rank, max(piece.min_tokens, 1), piece.num_tokens

        def moved(num_tokens: int) -> list[int]:
            return kept if index is None else [*kept[:index], num_tokens, *kept[index + 1 :]]

        @cache
        def count_at(num_tokens: int) -> int:
            return self._tokenizer.count(self._lay_out(moved(num_tokens)).window(rank))

        now = 0 if index is None else kept[index]
        wanted_tokens = count_at(now) + missing_tokens
        for cut in find_cuts(count_at, now, low, high, wanted_tokens):
            if count_at(cut) == wanted_tokens:
                return self._lay_out(moved(cut))
            if cut in (low, high) and not may_elide:
                return None
            others = [other for other in self._trimmer.stretches(moved(cut)) if other != rank]
            for place in (rank, *others):
                if layout := self._elide(moved(cut), place, wanted_tokens - count_at(cut)):
                    return layout
        return None

    def _elide(self, kept: list[int], rank: int, missing_tokens: int) -> Layout | None:
        """End a document with an elision of that many tokens, if one survives tokenization next to its neighbours."""

        def count(elision: str) -> int:
            return self._tokenizer.count(self._lay_out(kept, rank, elision).window(rank))

        elision = find_elision(count, count("") + missing_tokens)
        return None if elision is None else self._lay_out(kept, rank, elision)

    def _lay_out(self, kept: list[int], elided_rank: int = -1, elision: str = "") -> Layout:
        stretches = self._trimmer.stretches(kept)
        order = self._placement.arrange(set(stretches))
        return lay_out(
            self._draft.documents,
            order,
            stretches,
            self._evidence_ids,
            self._draft.instruction,
            {elided_rank: elision},
        )

    def _measure(self, layout: Layout) -> tuple[int, Fitted | None]:
        """Tokens of the whole chat, and the result when they are as many as wanted."""
        messages = self._chat(layout.text)
        rendered = self._tokenizer.render(messages)
        # As many as `count_chat` says, and depths are read from them without another pass.
        token_starts = [start for start, _ in self._tokenizer.offsets(rendered)]
        num_tokens = len(token_starts)
        if num_tokens != self._draft.seed.target_tokens:
            return num_tokens, None
        evidence = measure_depths(layout, rendered, token_starts)
        for found in evidence:
            text = self._evidence_texts[found.passage_id]
            assert layout.text[found.start_char : found.end_char] == text, (
                "evidence stands where its span says"
            )
        document_ids = [self._draft.documents[rank].document_id for rank in layout.order]
        return num_tokens, Fitted(messages, num_tokens, document_ids, evidence)

    def _chat(self, user: str) -> list[Message]:
        return whole_chat(self._draft, user)

    def _reject(self, reason: str, detail: str) -> Reject:
        return Reject(self._draft.seed.seed_id, "assembly", reason, detail)


def _ids_but(draft: Draft) -> set[str]:
    """Passages that the draft does not allow to be trimmed."""
    ids = {passage.passage_id for document in draft.documents for passage in document.passages}
    return ids - set(draft.trimmed_ids or ())


def find_cuts(
    count_at: Callable[[int], int], start: int, low: int, high: int, wanted_tokens: int
) -> list[int]:
    """The cut in `[low, high]` that counts `wanted_tokens`; without one, cuts that count less, the nearest first.

    Args:
        count_at: Tokens when the cut is there; about one more with each step.
        start: First guess.
        low: Lowest cut.
        high: Highest cut.
        wanted_tokens: What `count_at` should give.
    """
    guess = start
    tried = {start}
    for _ in range(MAX_STEPS):
        guess = min(max(guess + wanted_tokens - count_at(guess), low), high)
        tried.add(guess)
        if count_at(guess) == wanted_tokens:
            return [guess]
    for distance in range(1, NUM_NEIGHBOURS + 1):
        for neighbour in (guess + distance, guess - distance):
            if low <= neighbour <= high:
                tried.add(neighbour)
                if count_at(neighbour) == wanted_tokens:
                    return [neighbour]
    below = [cut for cut in tried if count_at(cut) < wanted_tokens]
    return sorted(below, key=lambda cut: (-count_at(cut), cut))


def find_elision(count_with: Callable[[str], int], wanted_tokens: int) -> str | None:
    """Text such as ` . . .` that lifts a count to exactly `wanted_tokens`; `None` when none is found.

    Args:
        count_with: Tokens with the text in place.
        wanted_tokens: At least `count_with("")`.
    """
    elision = ""
    num_tokens = count_with(elision)
    while num_tokens < wanted_tokens:
        missing_tokens = wanted_tokens - num_tokens
        candidates = [elision + unit * repeats for repeats in (missing_tokens, 1) for unit in ELISIONS]
        for candidate in candidates:
            if num_tokens < (count := count_with(candidate)) <= wanted_tokens:
                elision, num_tokens = candidate, count
                break
        else:
            return None
    return elision
