"""Text form of scores and differences, the same in tables and plots."""

from app.quantities import length_labels
from eval.report.contents import Counts, Score

GAP = "–"


def score_label(score: Score) -> str:
    """`81.25` → `81.2`, `100.0` → `100`, `0.0` → `0`; gaps are dashes."""
    if score is None:
        return GAP
    return f"{score:.0f}" if score in (0, 100) else f"{score:.1f}"


def whole_label(score: Score) -> str:
    """In a grid's cell: a whole number, and 100 for nothing less than all."""
    if score is None:
        return GAP
    return f"{min(round(score), 99 if score < 100 else 100)}"


def difference_label(difference: Score) -> str:
    """`+1.2`, `−3.4`, `0`; gaps are dashes."""
    if difference is None:
        return GAP
    written = f"{difference:+.1f}".replace("-", "−")
    return "0" if written in ("+0.0", "−0.0") else written


def depth_label(depth_percent: float) -> str:
    return f"{depth_percent:.3g}%"


def shortened(name: str, max_chars: int) -> str:
    """A name with its middle left out: stages differ at the end, models at the beginning."""
    if len(name) <= max_chars:
        return name
    end = (max_chars - 1) // 2
    return f"{name[: max_chars - 1 - end]}…{name[-end:]}"


def count_remarks(counts: Counts) -> list[str]:
    """What is to be said where samples have no answer."""
    remarks = []
    if counts.num_failed:
        end = "they count as wrong" if counts.failures_count_as_wrong else "what they belong to has no score"
        remarks.append(f"{counts.num_failed:,} of {counts.num_samples:,} samples failed; {end}.")
    if counts.num_missing:
        remarks.append(
            f"{counts.num_missing:,} of {counts.num_samples:,} samples were not asked yet; what they belong to has no "
            f"score."
        )
    return remarks


def copies_remark(num_copies: dict[int, int]) -> list[str]:
    """What is to be said where a haystack's text comes more than once."""
    repeated = {length: copies for length, copies in num_copies.items() if copies > 1}
    if not repeated:
        return []
    labels = zip(length_labels(list(repeated)), repeated.values(), strict=True)
    return [f"Repeated haystack: its text comes {', '.join(f'{n}× at {label}' for label, n in labels)}."]
