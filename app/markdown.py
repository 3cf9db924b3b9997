"""Markdown: tables, front matter and YAML for a card, and escaping of plain text."""

from collections.abc import Collection, Sequence
from typing import Any

import yaml

Cell = str | int | float
"""Text is Markdown; numbers are whole ones."""


def table(
    labels: Sequence[str], numbers: Sequence[str], rows: Sequence[Sequence[Cell]], bold: Collection[int] = ()
) -> str:
    """A table whose columns stand under one another, for those who read the file itself.

    Args:
        labels: Heads of the columns of text, which come first.
        numbers: Heads of the columns of numbers, set to the right.
        rows: Cells of all columns.
        bold: Numbers of the rows that matter most.
    """
    lines = [[*labels, *numbers], *([_written(cell) for cell in row] for row in rows)]
    for number in bold:
        lines[number + 1] = [f"**{cell}**" if cell else "" for cell in lines[number + 1]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligns = [str.ljust] * len(labels) + [str.rjust] * len(numbers)
    rules = ["-" * (width + 2) for width in widths[: len(labels)]]
    rules += ["-" * (width + 1) + ":" for width in widths[len(labels) :]]

    def line(cells: Sequence[str]) -> str:
        aligned = (align(cell, width) for align, cell, width in zip(aligns, cells, widths, strict=True))
        return f"| {' | '.join(aligned)} |"

    return "\n".join([line(lines[0]), f"|{'|'.join(rules)}|", *map(line, lines[1:])])


def front_matter(values: dict[str, Any]) -> str:
    """What a card begins with, and the Hub reads."""
    return f"---\n{_yaml(values)}---"


def yaml_block(values: dict[str, Any]) -> str:
    """Values as they would stand in a recipe."""
    return f"```yaml\n{_yaml(values)}```"


def escaped(text: str) -> str:
    """One line that Markdown reads as text: names are the users'."""
    for mark in ("\\", "|", "<", "*", "`", "[", "]"):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def _written(cell: Cell) -> str:
    return cell if isinstance(cell, str) else f"{cell:,.0f}"


def _yaml(values: dict[str, Any]) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)
