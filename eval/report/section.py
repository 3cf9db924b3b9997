"""`section.html`: the report as a fragment of a page, with all its pictures inside and nothing to be fetched or run.

Rows are grouped so that a page may sort them.
"""

from base64 import b64encode
from html import escape

from eval.report.parts import Part, Picture
from eval.report.tables import Table

STYLE = """
.ls-eval {
  color: var(--ink, #24292f); font: 16px/1.55 system-ui, sans-serif; max-width: 74rem; overflow-wrap: anywhere;
}
.ls-eval .ls-pictures { display: flex; flex-wrap: wrap; gap: 16px; margin: 1em 0; }
.ls-eval .ls-pictures img {
  width: calc(50% - 8px); height: auto; align-self: flex-start; background: #fff; border-radius: 8px;
}
.ls-eval .ls-table { overflow-x: auto; margin: 1.1em 0; }
.ls-eval table {
  border-collapse: collapse; font-size: .9em; line-height: 1.4; font-variant-numeric: tabular-nums;
  min-width: min(100%, 26rem); overflow-wrap: normal;
}
.ls-eval caption { text-align: left; font-weight: 600; padding: 0 0 .3em; }
.ls-eval caption span { position: sticky; left: 0; display: inline-block; max-width: min(60rem, calc(100vw - 2rem)); }
.ls-eval th, .ls-eval td { padding: .25em .5em; text-align: right; white-space: nowrap; }
.ls-eval thead th {
  border-bottom: 2px solid var(--strong-line, #8b949e); vertical-align: bottom; font-weight: 600; font-size: .94em;
  white-space: normal;
}
.ls-eval tbody tr, .ls-eval tfoot tr { border-bottom: 1px solid var(--line, #d8dee4); }
/* The row's name stays while the numbers are pushed along below it. */
.ls-eval th:first-child {
  text-align: left; padding-left: .2em; position: sticky; left: 0; background: var(--paper, #fff);
}
.ls-eval tbody th, .ls-eval tfoot th { font-weight: normal; }
.ls-eval tr.ls-main th, .ls-eval tr.ls-main td { font-weight: 650; }
.ls-eval tr.ls-more th { padding-left: 1.2em; }
.ls-eval tr.ls-more th, .ls-eval tr.ls-more td { color: var(--pale, #5d6670); font-size: .84em; }
.ls-eval .ls-remarks { padding-left: 1.3em; max-width: 46rem; }
@media (max-width: 40rem) {
  .ls-eval .ls-pictures img { width: 100%; }
  .ls-eval .ls-table th:first-child { min-width: 6.5rem; }
  .ls-eval tbody th, .ls-eval tfoot th { white-space: normal; overflow-wrap: anywhere; }
}
@media (prefers-color-scheme: dark) { .ls-eval .ls-pictures img { filter: brightness(.92); padding: 2px; } }
@media print {
  .ls-eval { font-size: 10pt; }
  .ls-eval .ls-table { overflow: visible; }
  .ls-eval table { font-size: 8pt; min-width: 22rem; }
  .ls-eval th, .ls-eval td { padding: .15em .35em; }
  .ls-eval tr, .ls-eval img, .ls-eval .ls-table { break-inside: avoid; }
  .ls-eval tfoot { display: table-row-group; }
  .ls-eval .ls-pictures img { width: 48%; filter: none; padding: 0; }
  .ls-eval caption span { position: static; max-width: none; }
}
"""
"""Colours are the page's, where it has some."""


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
    caption = escape(table.caption)
    return (
        f'<div class="ls-table" tabindex="0" role="region" aria-label="{caption}"><table>\n'
        f"<caption><span>{caption}</span></caption>\n<thead><tr>{head}</tr></thead>\n{_bodies(table)}\n</table></div>"
    )


def _bodies(table: Table) -> str:
    """Rows that belong together in a `tbody` of their own, where there are such; a total in a `tfoot`."""
    rows = [_row(table, number) for number in range(len(table.rows))]
    total = f"\n<tfoot>\n{rows.pop()}\n</tfoot>" if table.has_total else ""
    groups: list[list[str]] = []
    for number, row in enumerate(rows):
        if not groups or (table.explaining and number not in table.explaining):
            groups.append([])
        groups[-1].append(row)
    bodies = ("\n".join(group) for group in groups)
    return "\n".join(f"<tbody>\n{body}\n</tbody>" for body in bodies) + total


def _row(table: Table, number: int) -> str:
    first, *numbers = table.rows[number]
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in numbers)
    kind = "ls-main" if number in table.emphasized else "ls-more" if number in table.explaining else ""
    attribute = f' class="{kind}"' if kind else ""
    return f'<tr{attribute}><th scope="row">{escape(first)}</th>{cells}</tr>'
