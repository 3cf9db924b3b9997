"""The report in a real browser: it renders, sorts, shows its pictures, prints, and asks nobody for anything."""

import json
import re

import pytest

from app.report.page import CONTENTS, write_report
from app.storage import Folder
from eval.report.growth import render_growth
from eval.report.writing import write_report as write_evaluation
from eval.suites.registry import make_parts
from tests.eval.report.report_contents import LENGTHS, make_contents
from tests.integration.chromium import NAMES, find_chromium, open_browser
from tests.report.report_runs import make_run

PHONE_WIDTH = 360
EXPLAINING = ("95% interval", "samples", "against base")
"""Rows that belong to the one above them."""
COLUMN = """
(([caption, column]) => {
  const table = [...document.querySelectorAll("table")].find((each) => each.caption.textContent === caption);
  return [...table.tBodies].flatMap((body) => [...body.rows]).map((row) => row.cells[column].textContent);
})(%s)
"""
CLICK = """
(([caption, column]) => {
  const table = [...document.querySelectorAll("table")].find((each) => each.caption.textContent === caption);
  const head = table.tHead.rows[0].cells[column];
  const button = head.querySelector("button");
  button.focus();
  if (document.activeElement !== button) throw new Error("the keyboard does not reach it");
  button.click();
  return head.ariaSort;
})(%s)
"""
UNFOLD = "document.querySelectorAll('details').forEach((each) => { each.open = true; })"
NUM_UNFOLDED = "document.querySelectorAll('details[open]').length"
CALLS, RULER = "Calls of the generator", "RULER, mean of the tasks by length"
TIMES = (
    "Wall time by step; time of starts that failed or were killed counts; money is for the planned machines at the "
    "plan's prices"
)

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        find_chromium() is None, reason=f"none of {', '.join(NAMES)} is on the PATH; install chromium"
    ),
]


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config, run = make_run(folder)
    contents = make_contents(6, LENGTHS, gaps=True, copies=True)
    write_evaluation(
        Folder(str(run.evaluation_report.path)), make_parts(contents), render_growth(contents.of("niah"), {})
    )
    write_report(config, run)
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def browser():
    with open_browser(find_chromium()) as page:
        yield page


@pytest.fixture
def page(browser, uri):
    """The report, freshly loaded on a desktop's screen."""
    browser.events.clear()
    browser.resize(1200)
    browser.open(uri)
    return browser


def column(page, caption, number):
    return page.evaluate(COLUMN % json.dumps([caption, number]))


def click(page, caption, number):
    return page.evaluate(CLICK % json.dumps([caption, number]))


def test_it_renders_without_an_error_and_without_a_request(page, uri):
    anchors = page.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert anchors == list(CONTENTS)
    heights = page.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.offsetHeight)")
    assert min(heights) > 60
    # Folded parts too.
    page.evaluate(UNFOLD)
    page.screenshot()
    assert page.named("Runtime.exceptionThrown") == []
    assert page.named("Runtime.consoleAPICalled") == []
    assert page.named("Log.entryAdded") == []
    urls = [event["request"]["url"] for event in page.named("Network.requestWillBeSent")]
    assert [url for url in urls if not url.startswith("data:")] == [uri]


def test_the_policy_stops_any_other_script(page):
    stopped = page.evaluate(
        """
        new Promise((resolve) => {
          document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
          const script = document.createElement("script");
          script.textContent = "document.title = 'taken over'";
          document.body.append(script);
        })
        """
    )
    assert stopped == "script-src-elem"
    assert page.evaluate("document.title").startswith("Longstrap run")


def test_every_picture_shows(page):
    widths = page.evaluate("[...document.images].map((each) => each.naturalWidth)")
    # The growth of the context, the dataset's two, four curves, a heatmap for each of six models, and RULER's.
    assert len(widths) == 14
    assert min(widths) >= 600


def test_a_click_sorts_numbers_both_ways_and_back(page):
    before = column(page, CALLS, 4)
    num_empty = before.count("")
    assert num_empty
    assert sorted(filter(None, before)) == ["52,000", "8,000"]
    assert click(page, CALLS, 4) == "ascending"
    # As numbers, and what is not known last either way.
    assert column(page, CALLS, 4) == ["8,000", "52,000", *[""] * num_empty]
    assert click(page, CALLS, 4) == "descending"
    assert column(page, CALLS, 4) == ["52,000", "8,000", *[""] * num_empty]
    assert click(page, CALLS, 4) is None
    assert column(page, CALLS, 4) == before
    # The sum stays at the end.
    ends = "[...document.querySelectorAll('tfoot')].map((each) => each.nextElementSibling)"
    assert len(page.evaluate(ends)) > 3
    assert set(page.evaluate(ends)) == {None}


def test_text_is_sorted_as_text(page):
    click(page, CALLS, 0)
    names = column(page, CALLS, 0)
    assert names == sorted(names)
    click(page, CALLS, 0)
    assert column(page, CALLS, 0) == sorted(names, reverse=True)


def test_rows_that_explain_another_stay_with_it(page):
    captions = page.evaluate("[...document.querySelectorAll('caption')].map((each) => each.textContent)")
    caption = next(each for each in captions if each.startswith(RULER))
    before = column(page, caption, 0)
    assert before[:5] == ["Llama-3.2-1B-Instruct", "95% interval", "samples", "256k", "95% interval"]
    click(page, caption, 1)
    assert click(page, caption, 1) == "descending"
    names, means = column(page, caption, 0), column(page, caption, 1)
    models = [index for index, name in enumerate(names) if name not in EXPLAINING]
    known = [float(means[index]) for index in models if means[index] not in ("", "–")]
    assert len(known) > 5
    assert known == sorted(known, reverse=True)
    for index in models:
        if (place := before.index(names[index])) + 1 < len(before) and before[place + 1] == "95% interval":
            assert names[index + 1] == "95% interval"


def test_signs_and_units_are_numbers(page):
    captions = page.evaluate("[...document.querySelectorAll('caption')].map((each) => each.textContent)")
    caption = next(each for each in captions if each.startswith("256k against"))
    page.evaluate(UNFOLD)
    for number in (1, 2):
        click(page, caption, number)
        points = [float(text.replace("−", "-")) for text in column(page, caption, number)]
        assert points == sorted(points)
        assert min(points) < 0 < max(points)
    seconds = page.evaluate(COLUMN % json.dumps([TIMES, 3]))
    click(page, TIMES, 3)
    found = [text for text in column(page, TIMES, 3) if text]
    assert sorted(found) == sorted(filter(None, seconds))
    assert found == ["1m 00s", "4m 00s", "5m 00s", "30m 00s", "50m 00s", "1h 00m"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_in_both_schemes(page, uri, scheme):
    page.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    try:
        page.open(uri)
        for selector in ("p", "td", ".scores td", ".missing", "nav a", "dd"):
            ink, paper = (
                page.evaluate(f"getComputedStyle(document.querySelector({json.dumps(where)})).{what}")
                for where, what in ((selector, "color"), ("body", "backgroundColor"))
            )
            assert contrast(ink, paper) >= 4.5, (selector, ink, paper)
    finally:
        page.command("Emulation.setEmulatedMedia", features=[])


def test_a_phone_scrolls_tables_and_never_the_page(page, uri):
    page.resize(PHONE_WIDTH, 740, is_phone=True)
    page.open(uri)
    page.evaluate(UNFOLD)
    assert page.evaluate("innerWidth") == PHONE_WIDTH
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH
    boxes = "[...document.querySelectorAll('[role=region]')]"
    assert page.evaluate(f"{boxes}.some((each) => each.scrollWidth > each.clientWidth)")
    assert page.evaluate(f"{boxes}.every((each) => each.getBoundingClientRect().right <= {PHONE_WIDTH})")


def test_it_prints_with_all_that_is_folded_away(page):
    assert page.evaluate(NUM_UNFOLDED) == 0
    pdf = page.print_pdf()
    assert pdf.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 4
    # What opened for the paper is closed again; so it is in browsers that do not open it by the style alone.
    assert page.evaluate(NUM_UNFOLDED) == 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(NUM_UNFOLDED) == page.evaluate("document.querySelectorAll('details').length") > 3
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(NUM_UNFOLDED) == 0
    page.command("Emulation.setEmulatedMedia", media="print")
    try:
        assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
        assert page.evaluate("document.querySelector('details pre').checkVisibility()")
    finally:
        page.command("Emulation.setEmulatedMedia", media="")


def contrast(ink, paper):
    """WCAG 2's contrast ratio of two `rgb(…)` colours."""

    def luminance(colour):
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dark, light = sorted((luminance(ink), luminance(paper)))
    return (light + 0.05) / (dark + 0.05)
