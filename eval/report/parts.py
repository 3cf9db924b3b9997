"""The parts of a report: what a suite shows, in any format."""

from collections.abc import Callable
from dataclasses import dataclass, field

from eval.report.contents import Score
from eval.report.tables import Table


@dataclass(frozen=True, slots=True)
class Picture:
    """Drawn when it is asked for: a terminal shows none."""

    text: str
    """What it shows, for those who don't see it."""
    draw: Callable[[], bytes]
    """Gives the PNG."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Scores that a terminal shows as coloured cells."""

    title: str
    columns: list[str]
    rows: list[tuple[str, list[Score]]]
    """Label and scores, one a column."""


@dataclass(frozen=True, slots=True)
class Part:
    """One suite's part."""

    suite: str
    title: str
    remarks: list[str]
    """What must be known of the numbers."""
    tables: list[Table]
    num_open_tables: int = 1
    """A page folds all tables but the first ones."""
    terminal_tables: list[Table] | None = None
    """What a terminal shows instead of the tables; None: the same."""
    grids: list[Grid] = field(default_factory=list)
    """What a terminal shows in front of them."""
    csv_files: dict[str, str] = field(default_factory=dict)
    """Name of the file → its numbers."""
    file: str | None = None
    """The picture's, beside the tables."""
    draw_file: Callable[[], bytes] | None = None
    """Gives the PNG of that file."""
    pictures: list[Picture] = field(default_factory=list)
    """What a page shows in its place, side by side where there is room."""
    wrong: list[str] = field(default_factory=list)
    """Wrong answers, a line each."""


def joined_remarks(remarks: list[tuple[str, list[str]]]) -> list[str]:
    """Remarks of all models, each once: with the models' names, unless it is true of all."""
    models_of: dict[str, list[str]] = {}
    for model, texts in remarks:
        for text in texts:
            models_of.setdefault(text, []).append(model)
    return [
        text if len(models) == len(remarks) else f"{', '.join(models)}: {text}"
        for text, models in models_of.items()
    ]
