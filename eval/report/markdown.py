"""`report.md`: the tables as aligned Markdown, readable in a terminal and on a repository's page."""

from collections.abc import Sequence

from app import markdown
from app.markdown import escaped
from eval.report.parts import Part
from eval.report.tables import Table


def render_markdown(title: str, parts: Sequence[Part]) -> str:
    """All parts under a title; pictures are linked to as the files beside."""
    paragraphs = [f"# {escaped(title)}"]
    for part in parts:
        paragraphs.append(f"## {part.title}")
        if part.remarks:
            paragraphs.append("\n".join(f"- {escaped(remark)}" for remark in part.remarks))
        if part.file is not None:
            paragraphs.append(f"![{part.title}]({part.file})")
        for table in part.tables:
            paragraphs += [f"{escaped(table.caption)}:", render_table(table)]
        if part.wrong:
            paragraphs.append("Wrong answers:")
            paragraphs.append("\n".join(f"- {escaped(line)}" for line in part.wrong))
    return "\n\n".join(paragraphs) + "\n"


def render_table(table: Table) -> str:
    """Numbers stand under one another, and the rows that matter most are bold."""
    columns = list(map(escaped, table.columns))
    texts, numbers = columns[: table.num_text_columns], columns[table.num_text_columns :]
    return markdown.table(texts, numbers, [[*map(escaped, row)] for row in table.rows], table.emphasized)
