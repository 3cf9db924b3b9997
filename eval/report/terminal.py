"""The summary on the terminal: grids, means and differences, within 80 columns."""

from collections.abc import Iterator

from rich.console import Console
from rich.padding import Padding
from rich.style import Style
from rich.table import Table as RichTable
from rich.text import Text

from app.quantities import length_labels
from eval.report.contents import NiahResult, ReportContents, Score
from eval.report.labels import depth_label, shortened, whole_label
from eval.report.parts import Part, make_parts
from eval.report.ruler_tables import ruler_means_table, ruler_task_table
from eval.report.score_colours import score_colours
from eval.report.tables import Table, niah_means_table, result_of

WIDTH_CHARS = 80
INDENT_CHARS = 2
MAX_LABEL_CHARS = 26
GAP_CHARS = 2
"""Between columns, and between grids."""
CELL_CHARS = 4
DEPTH_CHARS = 5


def print_report(contents: ReportContents, console: Console) -> None:
    """Print all suites that have results, and what must be known of them."""
    contents = contents.measured()
    width = min(console.width, WIDTH_CHARS) - INDENT_CHARS
    for part in make_parts(contents):
        console.print()
        console.print(Text(part.title, style="bold"))
        if part.suite == "niah":
            for row in _rows_of_grids(contents.niah, width):
                console.print(Padding(row, (1, 0, 0, INDENT_CHARS)))
        for table in _tables(part, contents):
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


def _tables(part: Part, contents: ReportContents) -> list[Table]:
    if part.suite == "niah":
        # The grids show the rest.
        return [niah_means_table(contents.niah)]
    if part.suite != "ruler":
        return part.tables
    results = contents.ruler
    base = result_of(contents.models[0], results)
    means = ruler_means_table(results, base, contents.published, has_intervals=False)
    return [means, *(ruler_task_table(result, has_intervals=False) for result in results)]


def _rich_table(table: Table) -> RichTable:
    rich = RichTable(box=None, padding=(0, GAP_CHARS, 0, 0), pad_edge=False, header_style="dim")
    rich.add_column(Text(table.columns[0]), no_wrap=True)
    for name in table.columns[1:]:
        rich.add_column(Text(name), justify="right", no_wrap=True)
    for number, row in enumerate(table.rows):
        rich.add_row(*map(Text, row), style="bold" if number in table.emphasized else "")
    return rich


def _rows_of_grids(results: list[NiahResult], width_chars: int) -> Iterator[RichTable]:
    """Grids side by side, as many as the width takes."""
    grids = [grid for result in results for grid in _grids(result, width_chars)]
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


def _grids(result: NiahResult, width_chars: int) -> Iterator[Text]:
    labels = length_labels(result.lengths_tokens)
    cell_chars = max(CELL_CHARS, *(len(label) + 1 for label in labels))
    num_columns = max((width_chars - DEPTH_CHARS) // cell_chars, 1)
    for first in range(0, len(labels), num_columns):
        columns = range(first, min(first + num_columns, len(labels)))
        width = DEPTH_CHARS + len(columns) * cell_chars
        grid = Text(shortened(result.model, width).ljust(width), style="bold", no_wrap=True)
        grid.append(
            "\n".ljust(DEPTH_CHARS + 1) + "".join(labels[x].rjust(cell_chars) for x in columns),
            "dim not bold",
        )
        for depth, row in zip(result.depths_percent, result.scores, strict=True):
            grid.append("\n" + depth_label(depth).rjust(DEPTH_CHARS - 1) + " ", "dim not bold")
            for x in columns:
                grid.append(whole_label(row[x]).rjust(cell_chars - 1) + " ", _style(row[x]))
        yield grid


def _style(score: Score) -> Style:
    if score is None:
        return Style(bold=False, dim=True)
    colour, ink = score_colours(score)
    return Style(bold=False, color=ink, bgcolor=colour)
