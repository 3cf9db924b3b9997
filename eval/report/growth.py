"""How far the context has grown, in one sentence and one picture: needles of the first model and of the last."""

from collections.abc import Mapping, Sequence

from app.canvas import COLOURS, FONT_POINTS, INK, LEGEND, finish, start_plot
from app.html import Html, joined, paragraph, picture, pictures
from app.quantities import length_labels
from eval.report.contents import NiahResult
from eval.report.labels import score_label, shortened

MAX_NAME_CHARS = 24
BASE_COLOUR = "#6b6b6b"
BAR_WIDTH = 0.38


def compared(results: Sequence[NiahResult]) -> tuple[NiahResult, NiahResult, list[int]] | None:
    """The first model, the last one, and the lengths at which both have a score, the longest first.

    None where there is nothing to compare: one model alone, or no common length.
    """
    if len(results) < 2:
        return None
    base, last = results[0], results[-1]
    lengths = [
        length
        for length in sorted(set(base.lengths_tokens) & set(last.lengths_tokens), reverse=True)
        if base.mean(length) is not None and last.mean(length) is not None
    ]
    return (base, last, lengths) if lengths else None


def growth_sentence(results: Sequence[NiahResult], own_limits_tokens: Mapping[str, int | None]) -> str | None:
    """`needles at 10k: base 20%, 10k 90%; at 4k: 100%, 100%`: the longest length, then the shortest.

    Args:
        results: All models' needles; the first is the base.
        own_limits_tokens: Model → the longest sequence that it is made for; None where that is not known. A model
            that was asked beyond it is marked.
    """
    found = compared(results)
    if found is None:
        return None
    base, last, lengths = found
    lengths = [lengths[0], *lengths[1:][-1:]]
    parts = []
    for number, (length, label) in enumerate(zip(lengths, length_labels(lengths), strict=True)):
        scores = [f"{score_label(each.mean(length))}%" for each in (base, last)]
        if number == 0:
            limits = [own_limits_tokens.get(each.model) for each in (base, last)]
            notes = [
                f" (made for {limit:,} tokens)" if limit is not None and limit < length else ""
                for limit in limits
            ]
            named = zip((base, last), scores, notes, strict=True)
            scores = [f"{each.model} {score}{note}" for each, score, note in named]
        parts.append(f"at {label}: {', '.join(scores)}")
    return f"needles {'; '.join(parts)}"


def draw_growth(base: NiahResult, last: NiahResult, lengths_tokens: list[int]) -> bytes:
    """Two bars a length, the first model's and the last one's, as a PNG."""
    figure, axes = start_plot("Needles found", "prompt length, tokens", "%")
    lengths = sorted(lengths_tokens)
    for result, colour, side in ((base, BASE_COLOUR, -0.5), (last, COLOURS[0], 0.5)):
        scores = [result.mean(length) or 0.0 for length in lengths]
        places = [place + side * BAR_WIDTH for place in range(len(lengths))]
        axes.bar(places, scores, BAR_WIDTH, color=colour, label=shortened(result.model, MAX_NAME_CHARS))
        for place, score in zip(places, scores, strict=True):
            axes.text(
                place,
                score + 1,
                score_label(score),
                ha="center",
                va="bottom",
                fontsize=FONT_POINTS - 1,
                color=INK,
            )
    axes.set_ylim(0, 125)
    axes.set_yticks(range(0, 101, 20))
    axes.set_xlim(-0.6, len(lengths) - 0.4)
    axes.set_xticks(range(len(lengths)), length_labels(lengths))
    axes.legend(**LEGEND, ncols=2)
    return finish(figure)


def render_growth(results: Sequence[NiahResult], own_limits_tokens: Mapping[str, int | None]) -> Html | None:
    """Sentence and picture for the top of the run's report."""
    found = compared(results)
    sentence = growth_sentence(results, own_limits_tokens)
    if found is None or sentence is None:
        return None
    text = f"{sentence[0].upper()}{sentence[1:]}."
    return joined([paragraph(text, kind="growth"), pictures([picture(draw_growth(*found), text)])], "\n")
