"""The summary on the terminal: grids, means and differences, within 80 columns."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.style import Style
from rich.table import Table as RichTable
from rich.text import Text

from eval.report.contents import Score
from eval.report.labels import shortened, whole_label
from eval.report.parts import Grid, Part
from eval.report.score_colours import score_colours
from eval.report.tables import Table

WIDTH_CHARS = 80
INDENT_CHARS = 2
MAX_LABEL_CHARS = 26
GAP_CHARS = 2
"""Between columns, and between grids."""
CELL_CHARS = 4
DEPTH_CHARS = 5


def print_report(parts: Sequence[Part], console: Console) -> None:
    """Print all suites that have results, and what must be known of them."""
    width = min(console.width, WIDTH_CHARS) - INDENT_CHARS
    for part in parts:
        console.print()
        console.print(Text(part.title, style="bold"))
        for row in _rows_of_grids(part.grids, width):
            console.print(Padding(row, (1, 0, 0, INDENT_CHARS)))
        for table in part.tables if part.terminal_tables is None else part.terminal_tables:
            console.print(Padding(Text(table.caption, style="italic"), (1, 0, 0, INDENT_CHARS)), width=width)
            for piece in split_columns(table, width):
                console.print(Padding(_rich_table(piece), (0, 0, 0, INDENT_CHARS)))
        if part.remarks:
            console.print()
        for remark in part.remarks:
            console.print(Padding(Text(f"- {remark}"), (0, 0, 0, INDENT_CHARS)), width=width)


def split_columns(table: Table, width_chars: int) -> Iterator[Table]:
    """The table in as few pieces as the width takes, each with the column that names the rows.

    Rows without anything in a piece are left out of it.
    """
    rows = [[shortened(row[0], MAX_LABEL_CHARS), *row[1:]] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(table.columns, *rows, strict=True)]
    first = 1
    while first < len(widths):
        last, taken = first, widths[0]
        while last < len(widths) and (last == first or taken + GAP_CHARS + widths[last] <= width_chars):
            taken += GAP_CHARS + widths[last]
            last += 1
        kept = [number for number, row in enumerate(rows) if any(row[first:last])]
        yield Table(
            table.caption,
            [table.columns[0], *table.columns[first:last]],
            [[rows[number][0], *rows[number][first:last]] for number in kept],
            {index for index, number in enumerate(kept) if number in table.emphasized},
        )
        first = last


def _rich_table(table: Table) -> RichTable:
    rich = RichTable(box=None, padding=(0, GAP_CHARS, 0, 0), pad_edge=False, header_style="dim")
    rich.add_column(Text(table.columns[0]), no_wrap=True)
    for name in table.columns[1:]:
        rich.add_column(Text(name), justify="right", no_wrap=True)
    for number, row in enumerate(table.rows):
        rich.add_row(*map(Text, row), style="bold" if number in table.emphasized else "")
    return rich


def _rows_of_grids(shown: Sequence[Grid], width_chars: int) -> Iterator[RichTable]:
    """Grids side by side, as many as the width takes."""
    grids = [grid for each in shown for grid in _grids(each, width_chars)]
    while grids:
        taken, num_grids = 0, 0
        for grid in grids:
            taken += max(len(line) for line in grid.plain.splitlines()) + GAP_CHARS
            if num_grids and taken - GAP_CHARS > width_chars:
                break
            num_grids += 1
        row = RichTable.grid(padding=(0, GAP_CHARS, 0, 0))
        row.add_row(*grids[:num_grids])
        yield row
        grids = grids[num_grids:]


def _grids(grid: Grid, width_chars: int) -> Iterator[Text]:
    labels = grid.columns
    cell_chars = max(CELL_CHARS, *(len(label) + 1 for label in labels))
    num_columns = max((width_chars - DEPTH_CHARS) // cell_chars, 1)
    for first in range(0, len(labels), num_columns):
        columns = range(first, min(first + num_columns, len(labels)))
        width = DEPTH_CHARS + len(columns) * cell_chars
        text = Text(shortened(grid.title, width).ljust(width), style="bold", no_wrap=True)
        text.append(
            "\n".ljust(DEPTH_CHARS + 1) + "".join(labels[x].rjust(cell_chars) for x in columns),
            "dim not bold",
        )
        for label, scores in grid.rows:
            text.append("\n" + label.rjust(DEPTH_CHARS - 1) + " ", "dim not bold")
            for x in columns:
                text.append(whole_label(scores[x]).rjust(cell_chars - 1) + " ", _style(scores[x]))
        yield text


def _style(score: Score) -> Style:
    if score is None:
        return Style(bold=False, dim=True)
    colour, ink = score_colours(score)
    return Style(bold=False, color=ink, bgcolor=colour)
