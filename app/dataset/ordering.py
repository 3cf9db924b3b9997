"""Order of the documents in a long context: evidence at randomly drawn depths, shuffled distractors in between.

Retrieval ranks evidence first; a context in that order would teach that answers stand at the start. So the depths are
drawn evenly over the whole dataset instead of by chance: with one evidence document, the dataset's seeds walk through
[0, 1) by steps of the golden ratio, which fills it more evenly than random draws; with n of them, each takes one of n
equal strata.
"""

import math
import random
from dataclasses import dataclass

from app.schema import Seed

GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Placement:
    """One seed's choice of places, the same whichever documents are left when the context has been trimmed."""

    shuffled_ranks: list[int]
    """All documents, by their index in the draft, in random order."""
    depths: dict[int, float]
    """Evidence document's index → share of the context that should stand before it."""
    is_given: bool = False
    """Whether the documents stand as the draft has them."""

    def arrange(self, kept_ranks: set[int]) -> list[int]:
        """Order of the documents that are kept; all evidence documents are among them.

        Slots are counted in documents, not tokens: each slot is then equally likely, also the first and the last.
        """
        if self.is_given:
            return sorted(kept_ranks)
        order = [rank for rank in self.shuffled_ranks if rank in kept_ranks and rank not in self.depths]
        num_slots = len(order) + len(self.depths)
        previous = -1
        by_depth = sorted(self.depths.items(), key=lambda item: item[1])
        for index, (rank, depth) in enumerate(by_depth):
            latest = num_slots - (len(by_depth) - index)
            previous = min(max(int(depth * num_slots), previous + 1), latest)
            order.insert(previous, rank)
        return order


def draw_placement(seed: Seed, num_documents: int, evidence_ranks: list[int]) -> Placement:
    """Draw a seed's places from its own random state and its number in the dataset."""
    rng = random.Random(seed.random_seed)
    shuffled = list(range(num_documents))
    rng.shuffle(shuffled)
    strata = list(evidence_ranks)
    rng.shuffle(strata)
    depths: dict[int, float] = {}
    for stratum, rank in enumerate(strata):
        jitter = rng.random() if len(strata) > 1 else 0.0
        depths[rank] = (stratum + (seed.seed_index * GOLDEN_RATIO + jitter) % 1.0) / len(strata)
    return Placement(shuffled, depths)


def given_placement(num_documents: int, whole_ranks: list[int]) -> Placement:
    """The places of a draft whose documents stand as it has them; the texts of whole passages are cut at their ends."""
    return Placement(list(range(num_documents)), dict.fromkeys(whole_ranks, 0.5), is_given=True)
