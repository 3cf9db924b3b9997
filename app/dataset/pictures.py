"""The dataset card's pictures, drawn from `statistics.json`. Readable at 600 pixels wide."""

from app.canvas import COLOURS, INK, LEGEND, finish, start_plot
from app.quantities import length_labels
from app.records.dataset import DatasetStatistics
from app.schema import Kind

LENGTHS_PICTURE = "lengths.png"
DEPTHS_PICTURE = "evidence_depths.png"
KIND_COLOURS: dict[Kind, str] = {"long_input": COLOURS[0], "long_output": COLOURS[1], "structure": COLOURS[2]}
MAX_LABELS = 12


def draw_lengths(statistics: DatasetStatistics) -> bytes:
    """How many examples have which length, by kind, as a PNG."""
    figure, axes = start_plot(
        "Length of the examples", "tokens, chat template and answer included", "examples"
    )
    edges, counts = statistics.lengths.edges_tokens, statistics.lengths.counts
    below = [0] * max(len(edges) - 1, 0)
    for kind, colour in KIND_COLOURS.items():
        if kind in counts:
            label = f"{kind.replace('_', ' ')} ({sum(counts[kind]):,})"
            axes.bar(range(len(below)), counts[kind], width=0.9, bottom=below, color=colour, label=label)
            below = [low + count for low, count in zip(below, counts[kind], strict=True)]
    # Bins of powers of two would leave the short ones a hair's breadth: all are drawn as wide.
    step = -(-len(edges) // MAX_LABELS) or 1
    places = range(0, len(edges), step)
    axes.set_xticks([place - 0.5 for place in places], length_labels([edges[place] for place in places]))
    axes.set_ylim(0, max([*below, 1]) * 1.22)
    if any(kind in counts for kind in KIND_COLOURS):
        axes.legend(ncols=len(KIND_COLOURS), **LEGEND)
    return finish(figure)


def draw_evidence_depths(statistics: DatasetStatistics) -> bytes:
    """Which share of the evidence passages stands where in its context, as a PNG."""
    counts = statistics.evidence_depths.counts
    total = sum(counts)
    figure, axes = start_plot(
        f"Where the evidence stands ({total:,} passages)",
        "depth in the context: 0 % is its first token, 100 % its last",
        "share of the passages (%)",
    )
    shares = [100 * count / max(total, 1) for count in counts]
    axes.bar(range(len(counts)), shares, width=0.9, color=KIND_COLOURS["long_input"])
    even = 100 / len(counts)
    axes.axhline(even, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), label="spread evenly")
    edges = statistics.evidence_depths.edges
    axes.set_xticks([place - 0.5 for place in range(len(edges))], [f"{100 * edge:.0f}" for edge in edges])
    axes.set_ylim(0, max([*shares, even]) * 1.25)
    axes.legend(**LEGEND)
    return finish(figure)
