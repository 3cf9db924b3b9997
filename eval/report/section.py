"""`section.html`: the report as a section of the run's report, in its style, with all plots embedded."""

from collections.abc import Sequence

from app.html import Html, details, element, items, joined, picture, pictures, table
from eval.report.parts import Part
from eval.report.tables import Table


def render_section(title: str, parts: Sequence[Part]) -> Html:
    """All parts under a title, as one `<section>`; nothing in it is fetched or run."""
    heading = element("h2", title)
    return element("section", "\n", joined([heading, *map(_part, parts)], "\n"), "\n", class_="scores")


def _part(part: Part) -> Html:
    first, rest = part.tables[: part.num_open_tables], part.tables[part.num_open_tables :]
    pieces = [
        element("h3", part.title),
        items(part.remarks) if part.remarks else None,
        pictures([picture(each.draw(), each.text) for each in part.pictures]) if part.pictures else None,
        *map(_table, first),
        details(f"Tables ({len(rest)})", *map(_table, rest)) if rest else None,
        details(f"Wrong answers ({len(part.wrong)})", items(part.wrong)) if part.wrong else None,
    ]
    return joined([piece for piece in pieces if piece is not None], "\n")


def _table(shown: Table) -> Html:
    end = len(shown.rows) - shown.has_total
    totals = shown.rows[end] if shown.has_total else ()
    texts, numbers = shown.columns[: shown.num_text_columns], shown.columns[shown.num_text_columns :]
    return table(shown.caption, texts, numbers, shown.rows[:end], totals, shown.emphasized, shown.explaining)
