"""`section.html`: the report as a fragment of a page, with all its pictures inside and nothing to be fetched or run."""

from base64 import b64encode
from html import escape

from eval.report.parts import Part, Picture
from eval.report.tables import Table

STYLE = """
.ls-eval { font: 16px/1.5 system-ui, sans-serif; color: #333; max-width: 1000px; }
.ls-eval .ls-pictures { display: flex; flex-wrap: wrap; gap: 16px; margin: 1em 0; }
.ls-eval .ls-pictures img { width: 100%; max-width: 480px; height: auto; align-self: flex-start; }
.ls-eval .ls-table { overflow-x: auto; margin: 1.2em 0; }
.ls-eval table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
.ls-eval caption { text-align: left; font-weight: 600; padding: 4px 0; }
.ls-eval th, .ls-eval td { padding: 3px 9px; text-align: right; white-space: nowrap; }
.ls-eval thead th { border-bottom: 2px solid #999; }
.ls-eval tbody tr { border-bottom: 1px solid #ddd; }
.ls-eval th:first-child { text-align: left; font-weight: normal; }
.ls-eval tr.ls-main th, .ls-eval tr.ls-main td { font-weight: 700; }
.ls-eval .ls-remarks { padding-left: 1.2em; }
"""


def render_section(title: str, parts: list[Part]) -> str:
    """All parts under a title, as one `<section>`."""
    body = "\n".join(map(_part, parts))
    return (
        f'<section class="ls-eval">\n<style>{STYLE}</style>\n<h2>{escape(title)}</h2>\n{body}\n</section>\n'
    )


def _part(part: Part) -> str:
    pieces = [f"<h3>{escape(part.title)}</h3>"]
    if part.remarks:
        items = "".join(f"<li>{escape(remark)}</li>" for remark in part.remarks)
        pieces.append(f'<ul class="ls-remarks">{items}</ul>')
    if part.pictures:
        pieces.append(f'<div class="ls-pictures">{"".join(map(_picture, part.pictures))}</div>')
    # The means are what most come for, and the grids are pictures already; the rest opens at a click.
    num_open = 0 if part.suite == "niah" else 1
    first, rest = part.tables[:num_open], part.tables[num_open:]
    pieces += map(_table, first)
    if rest:
        inner = "\n".join(map(_table, rest))
        pieces.append(f"<details><summary>Tables ({len(rest)})</summary>\n{inner}\n</details>")
    return "\n".join(pieces)


def _picture(picture: Picture) -> str:
    encoded = b64encode(picture.draw()).decode("ascii")
    return f'<img src="data:image/png;base64,{encoded}" alt="{escape(picture.text)}">'


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows = "\n".join(_row(row, number in table.emphasized) for number, row in enumerate(table.rows))
    return (
        f'<div class="ls-table"><table>\n<caption>{escape(table.caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


def _row(row: list[str], is_emphasized: bool) -> str:
    first, *numbers = row
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in numbers)
    kind = ' class="ls-main"' if is_emphasized else ""
    return f'<tr{kind}><th scope="row">{escape(first)}</th>{cells}</tr>'
