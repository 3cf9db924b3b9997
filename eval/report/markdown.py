"""`report.md`: the tables as aligned Markdown, which a terminal and a repository's page show alike."""

from eval.report.parts import Part
from eval.report.tables import Table


def render_markdown(title: str, parts: list[Part]) -> str:
    """All parts under a title; pictures are linked to as the files beside."""
    paragraphs = [f"# {_escaped(title)}"]
    for part in parts:
        paragraphs.append(f"## {part.title}")
        if part.remarks:
            paragraphs.append("\n".join(f"- {_escaped(remark)}" for remark in part.remarks))
        if part.file is not None:
            paragraphs.append(f"![{part.title}]({part.file})")
        for table in part.tables:
            paragraphs += [f"{_escaped(table.caption)}:", render_table(table)]
    return "\n\n".join(paragraphs) + "\n"


def render_table(table: Table) -> str:
    """A Markdown table whose columns stand under one another."""
    rows = [
        [f"**{_escaped(cell)}**" if number in table.emphasized and cell else _escaped(cell) for cell in row]
        for number, row in enumerate(table.rows)
    ]
    widths = [max(map(len, column)) for column in zip(table.columns, *rows, strict=True)]

    def line(cells: list[str]) -> str:
        first, *numbers = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in numbers)]
        return f"| {' | '.join(padded)} |"

    rule = "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])])
    return "\n".join([line([_escaped(name) for name in table.columns]), f"|{rule}|", *map(line, rows)])


def _escaped(text: str) -> str:
    """One line that Markdown reads as text: names are the users'."""
    for mark in ("\\", "|", "<", "*", "`", "[", "]"):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
