"""Elements of the run's report. Anything that is not HTML is escaped: most of it comes from documents and models."""

from base64 import b64encode
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from app.quantities import duration, memory, money, size


class Html(str):
    """Text that is HTML."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """A number of a table, written for people."""

    text: str
    value: float
    """What it is sorted by."""


Content = Html | str | int | float | Cell | None
"""None is nothing: an empty cell."""


def element(name: str, *content: Content, **attributes: str | None) -> Html:
    """One element around its content.

    Args:
        name: Name of the tag.
        content: What stands in it.
        attributes: With a trailing underscore where Python has a word like it; `_` is `-` otherwise. None leaves one
            out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>{joined(content)}</{name}>")


def joined(content: Iterable[Content], between: str = "") -> Html:
    """Join all parts."""
    return Html(between.join(map(as_html, content)))


def as_html(content: Content) -> Html:
    """Content as HTML; plain text is escaped."""
    if isinstance(content, Html):
        return content
    if content is None:
        return Html("")
    if isinstance(content, Cell):
        return Html(escape(content.text))
    if isinstance(content, str):
        return Html(escape(content))
    return Html(f"{content:,}" if isinstance(content, int) else f"{content:,g}")


def section(anchor: str, title: str, *content: Content) -> Html:
    """One of the page's sections, under its heading."""
    return element("section", element("h2", title), "\n", joined(content, "\n"), id=anchor)


def paragraph(*content: Content, kind: str | None = None) -> Html:
    return element("p", *content, class_=kind)


def missing(what: str) -> Html:
    """The line that stands for what is not there yet."""
    return paragraph(what, kind="missing")


def items(entries: Iterable[Content]) -> Html:
    """A list of points."""
    return element("ul", *(element("li", each) for each in entries))


def pairs(entries: Sequence[tuple[str, Content]], kind: str = "pairs") -> Html:
    """Names and what they are; those without a value are left out."""
    rows = [
        element("div", element("dt", name), element("dd", value))
        for name, value in entries
        if value not in (None, "")
    ]
    return element("dl", *rows, class_=kind)


def details(summary: str, *content: Content) -> Html:
    """What opens at a click, and on paper is open."""
    return element("details", element("summary", summary), "\n", joined(content, "\n"))


def picture(png: bytes, text: str) -> Html:
    """A picture inside the page.

    Args:
        png: The file.
        text: What it shows, for those who don't see it.
    """
    encoded = b64encode(png).decode("ascii")
    return Html(f'<img src="data:image/png;base64,{encoded}" alt="{escape(text)}">')


def pictures(shown: Sequence[Html]) -> Html:
    """Side by side where there is room."""
    return element("div", *shown, class_="pictures")


def table(
    caption: str,
    labels: Sequence[str],
    numbers: Sequence[str],
    rows: Sequence[Sequence[Content]],
    totals: Sequence[Content] = (),
    bold: Collection[int] = (),
    explaining: Collection[int] = (),
) -> Html:
    """A table whose rows a click on a column's head sorts.

    Args:
        caption: What it shows.
        labels: Heads of the columns of text, which come first; the first one names the row.
        numbers: Heads of the columns of numbers.
        rows: Cells of all columns.
        totals: One more row, which stays at the end.
        bold: Numbers of the rows that matter most.
        explaining: Numbers of the rows that tell more of the one above, and stay with it.
    """
    heads = [element("th", name, scope="col") for name in labels]
    heads += [element("th", name, scope="col", class_="number") for name in numbers]
    # Rows that belong together have a body of their own, where there are such.
    bodies: list[list[Html]] = []
    for index, row in enumerate(rows):
        if not bodies or (explaining and index not in explaining):
            bodies.append([])
        kind = "main" if index in bold else "more" if index in explaining else None
        bodies[-1].append(_row(row, len(labels), kind))
    foot = element("tfoot", _row(totals, len(labels))) if totals else ""
    inside = (
        element("caption", element("span", caption)),
        element("thead", element("tr", *heads)),
        *(element("tbody", joined(body, "\n")) for body in bodies or [[]]),
        foot,
    )
    whole = element("table", joined(inside, "\n"))
    return element("div", whole, class_="table", tabindex="0", role="region", aria_label=caption)


def _row(cells: Sequence[Content], num_labels: int, kind: str | None = None) -> Html:
    first, *others = cells
    written = [element("th", first, scope="row")]
    for place, cell in enumerate(others, start=1):
        value = str(cell.value) if isinstance(cell, Cell) else None
        class_ = "number" if place >= num_labels else None
        written.append(element("td", cell, class_=class_, data_value=value))
    return element("tr", *written, class_=kind)


def seconds_cell(seconds: float | None) -> Cell | None:
    return None if seconds is None else Cell(duration(seconds), seconds)


def bytes_cell(num_bytes: float | None) -> Cell | None:
    """None and 0 are empty."""
    return Cell(size(num_bytes), num_bytes) if num_bytes else None


def memory_cell(num_bytes: float | None) -> Cell | None:
    return None if num_bytes is None else Cell(memory(num_bytes), num_bytes)


def money_cell(amount: float | None) -> Cell | None:
    return None if amount is None else Cell(money(amount), amount)


def count_cell(number: float | None) -> Cell | None:
    """A whole number of something."""
    return None if number is None else Cell(f"{number:,.0f}", round(number))


def decimal_cell(number: float | None, pattern: str) -> Cell | None:
    """A number in a format of its own.

    Args:
        number: None is an empty cell.
        pattern: Format specification, e.g. `.1%`.
    """
    return None if number is None else Cell(format(number, pattern), number)
