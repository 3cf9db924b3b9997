"""A dataset as one HTML file to read: its examples and rejects, with search and filters."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

from app.config import ViewConfig
from app.dataset.statistics import STATISTICS_FILE
from app.faults import UserError
from app.html import Content, Html, element, joined, missing, paragraph
from app.report.script import SCRIPT
from app.report.shell import render_shell, write_page
from app.run import Run
from app.storage import Folder
from app.viewing.article import Thresholds, render_article
from app.viewing.entries import Entry, choose_examples, choose_rejects
from app.viewing.script import FILTER_SCRIPT

PAGE_FILE = "dataset.html"
"""Of a run's folder."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above the examples."""

    title: str
    lines: list[str]


def write_view(run: Run, view: ViewConfig, title: str = "") -> str:
    """Write the page of a run's finished dataset; an earlier one is replaced.

    Args:
        run: The run.
        view: What stands on the page.
        title: Of the page; by default it names the run.

    Returns:
        Where the page is.

    Raises:
        UserError: The dataset is not finished.
    """
    if not run.dataset.is_complete():
        raise UserError(
            f"view: {run.folder.uri} has no finished dataset; give `longstrap synthesize` first, or another folder"
        )
    return write_entries(run, view, title)


def write_entries(run: Run, view: ViewConfig, title: str = "") -> str:
    """The same of a dataset whose examples and rejects are written, though none of its seeds became an example."""
    dataset = run.dataset.folder
    examples = choose_examples(dataset, view.num_examples)
    rejects = choose_rejects(dataset, view.num_rejects)
    heading = Heading(
        title or f"Dataset of {run_name(run)}",
        [
            f"{_share(examples.num_chosen, examples.num_all)} examples and "
            f"{_share(rejects.num_chosen, rejects.num_all)} rejects."
        ],
    )
    entries = chain(examples.entries, rejects.entries)
    return write_page(run.folder, PAGE_FILE, render_view(heading, entries, view, _thresholds(dataset)))


def run_name(run: Run) -> str:
    """The name of a run's folder."""
    return run.folder.path.rpartition("/")[2]


def render_view(heading: Heading, entries: Iterable[Entry], view: ViewConfig, thresholds: Thresholds) -> str:
    """The whole page.

    Args:
        heading: What stands above the entries.
        entries: Examples and rejects; each is read once.
        view: How much of their texts is shown.
        thresholds: What verified answers had to reach.
    """
    articles: list[Html] = []
    counts: dict[str, Counter[str]] = {"status": Counter(), "kind": Counter(), "task": Counter()}
    for entry in entries:
        articles.append(render_article(entry, view, thresholds))
        counts["status"]["reject" if entry.reject else "example"] += 1
        counts["kind"][entry.kind] += 1
        counts["task"][entry.task] += 1
    intro = [element("h1", heading.title), *map(paragraph, heading.lines)]
    parts: list[Content] = [
        element("header", *intro),
        _controls(counts) if articles else missing("There is nothing to show yet."),
        element("main", "\n", joined(articles, "\n"), "\n"),
        element("footer", "One file with everything inside: it can be sent, kept and printed as it is."),
    ]
    scripts = [SCRIPT, FILTER_SCRIPT] if articles else [SCRIPT]
    return render_shell(heading.title, parts, scripts)


def _controls(counts: Mapping[str, Counter[str]]) -> Html:
    """Search and filters; the script shows them."""
    fields = [
        element("label", "Search ", _input("search", "search", "words of the text")),
        *(element("label", f"{name.capitalize()} ", _select(name, found)) for name, found in counts.items()),
        element("label", "Tokens from ", _input("least", "number", "0")),
        element("label", "to ", _input("most", "number", "any")),
        element("output"),
    ]
    return element("div", joined(fields, "\n"), class_="controls", role="search", hidden="")


def _input(name: str, kind: str, hint: str) -> Html:
    least = ' min="0" step="1"' if kind == "number" else ""
    return Html(f'<input name="{name}" type="{kind}"{least} placeholder="{hint}" autocomplete="off">')


def _select(name: str, counts: Counter[str]) -> Html:
    options = [element("option", "all", value="")]
    options += [
        element("option", f"{value.replace('_', ' ')} ({number:,})", value=value)
        for value, number in sorted(counts.items())
        if value
    ]
    return element("select", *options, name_=name)


def _share(num_shown: int, num_all: int) -> str:
    return f"{num_all:,}" if num_shown == num_all else f"{num_shown:,} of {num_all:,}"


def _thresholds(dataset: Folder) -> Thresholds:
    if not dataset.exists(STATISTICS_FILE):
        return {}
    return (dataset.read_json(STATISTICS_FILE).get("verification") or {}).get("thresholds") or {}
