"""Text form of scores and differences, the same in tables and plots."""

from app.quantities import length_labels
from eval.report.contents import Counts, Interval, Score

GAP = "–"


def score_label(score: Score) -> str:
    """`81.25` → `81.2`, `100.0` → `100`, `0.0` → `0`; gaps are dashes."""
    if score is None:
        return GAP
    return f"{score:.0f}" if score in (0, 100) else f"{score:.1f}"


def interval_label(interval: Interval | None) -> str:
    """`77.1–84.9`; nothing where there is none."""
    return "" if interval is None else f"{interval[0]:.1f}–{interval[1]:.1f}"


def score_and_interval(score: Score, interval: Interval | None) -> str:
    """`81.2 (77.1–84.9)`."""
    return (
        f"{score_label(score)} ({interval_label(interval)})" if interval is not None else score_label(score)
    )


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
    """What is to be said where samples have no answer, or one that was cut."""
    remarks = []
    kinds = (
        ("cut", counts.num_cut, "were cut{at}; they are scored as they are"),
        ("empty", counts.num_empty, "were empty{at}; they count as wrong"),
        (
            "only thought",
            counts.num_only_thought,
            "held only thought{at}; they count as wrong, and a larger evaluate.sampling.thinking_tokens asks them "
            "again",
        ),
        ("filtered", counts.num_filtered, "were held back by the endpoint's filter"),
    )
    for kind, number, what in kinds:
        if number:
            limits = [f"{tokens:,}" for tokens in counts.limits_tokens.get(kind, [])]
            cut = " at " if kind == "cut" else ", cut at "
            at = f"{cut}{limits[0]}{f' to {limits[-1]}' if len(limits) > 1 else ''} tokens" if limits else ""
            remarks.append(f"{number:,} of {counts.num_samples:,} replies {what.format(at=at)}.")
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
