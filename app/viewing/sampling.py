"""Which of many rows are shown: a fixed sample in which no group is missing."""

import random
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

Group = TypeVar("Group", bound=Hashable)


def share_out(total: int, sizes: Mapping[Group, int]) -> dict[Group, int]:
    """Split a number among groups in proportion to their sizes; each gets at least one if the number suffices.

    Args:
        total: What is split; more than all sizes together counts as their sum.
        sizes: Group → how much it can take.

    Returns:
        Every group with its part, in the order of `sizes`.
    """
    total = min(total, sum(sizes.values()))
    largest_first = sorted((group for group in sizes if sizes[group]), key=lambda group: -sizes[group])
    parts = dict.fromkeys(sizes, 0) | dict.fromkeys(largest_first[:total], 1)
    while (missing := total - sum(parts.values())) > 0:
        room = {group: sizes[group] - parts[group] for group in sizes}
        num_free = sum(room.values())
        for group in largest_first:
            parts[group] += missing * room[group] // num_free
        # What rounding down leaves goes to those with most room, one each.
        left = total - sum(parts.values())
        for group in sorted(largest_first, key=lambda each: -(sizes[each] - parts[each]))[:left]:
            parts[group] += 1
    return parts


def draw_sample(groups: Sequence[Hashable], num_rows: int) -> list[int]:
    """Places of a sample with all groups, ascending; the same for the same rows.

    Args:
        groups: The group of each row.
        num_rows: Rows to draw; all of them if there are no more.
    """
    if len(groups) <= num_rows:
        return list(range(len(groups)))
    places: dict[Hashable, list[int]] = {}
    for place, group in enumerate(groups):
        places.setdefault(group, []).append(place)
    parts = share_out(num_rows, {group: len(found) for group, found in places.items()})
    drawn = [
        place
        for group, found in places.items()
        for place in random.Random(f"view {group}").sample(found, parts[group])
    ]
    return sorted(drawn)
