"""A dataset's page in a real browser: it renders, searches, filters, prints, and asks nobody for anything."""

import json

import pytest

from app.config import ViewConfig
from app.viewing.page import write_view
from tests.integration.chromium import NAMES, find_chromium, open_browser
from tests.viewing.viewed_runs import long_input, long_output, structure, write_run

PHONE_WIDTH = 360
SET = """
(([name, value]) => {
  const field = document.querySelector(`.controls [name=${name}]`);
  field.value = value;
  field.dispatchEvent(new Event("input", {bubbles: true}));
})(%s)
"""
SHOWN = """
[...document.querySelectorAll("article")]
  .filter((each) => each.checkVisibility())
  .map((each) => each.querySelector("h3").textContent)
"""
FOUND = "document.querySelector('output').textContent"
REJECTS = [("long-input-00000090-aaaa", "filters", "refusal", "I cannot help.")]

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        find_chromium() is None, reason=f"none of {', '.join(NAMES)} is on the PATH; install chromium"
    ),
]


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    folder = tmp_path_factory.mktemp("viewed") / "run"
    rows = [long_input(0), long_input(1, num_chars=60_000), structure(2), long_output(3)]
    write_view(write_run(folder, rows, REJECTS), ViewConfig())
    return (folder / "dataset.html").as_uri()


@pytest.fixture(scope="module")
def browser():
    with open_browser(find_chromium()) as page:
        yield page


@pytest.fixture
def page(browser, uri):
    """The page, freshly loaded on a desktop's screen."""
    browser.events.clear()
    browser.resize(1200)
    browser.open(uri)
    return browser


def choose(page, **fields):
    for name, value in fields.items():
        page.evaluate(SET % json.dumps([name, value]))
    return [name.split("-0000")[0] for name in page.evaluate(SHOWN)], page.evaluate(FOUND)


def test_it_renders_without_an_error_and_without_a_request(page, uri):
    assert page.evaluate(FOUND) == "5 of 5 shown"
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    page.screenshot()
    for name in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
        assert page.named(name) == []
    urls = [event["request"]["url"] for event in page.named("Network.requestWillBeSent")]
    assert [url for url in urls if not url.startswith("data:")] == [uri]


def test_choices_and_lengths_leave_what_matches(page):
    assert choose(page, kind="structure") == (["structure"], "1 of 5 shown")
    assert choose(page, kind="", status="reject") == (["long-input"], "1 of 5 shown")
    assert choose(page, status="", task="write") == (["long-output"], "1 of 5 shown")
    assert choose(page, task="", least="1002") == (["structure", "long-output", "long-input"], "3 of 5 shown")
    assert choose(page, most="1003") == (["structure", "long-output"], "2 of 5 shown")
    assert choose(page, least="", most="")[1] == "5 of 5 shown"


def test_a_search_finds_words_in_any_order_whatever_their_case_and_place(page):
    assert choose(page, search="answer1 1893") == (["long-input"], "1 of 5 shown")
    assert choose(page, search="CANNOT refusal") == (["long-input"], "1 of 5 shown")
    assert choose(page, search="work play", kind="structure") == (["structure"], "1 of 5 shown")
    assert choose(page, search="<script>alert(", kind="")[1] == "5 of 5 shown"
    assert choose(page, search="nowhere") == ([], "0 of 5 shown")


def test_the_evidence_stands_out(page):
    plain, marked = (
        page.evaluate(f"getComputedStyle(document.querySelector('{name}')).backgroundColor")
        for name in (".context", ".context mark")
    )
    assert plain != marked
    assert page.evaluate("document.querySelectorAll('mark').length") == 3


def test_a_phone_never_scrolls_the_page_sideways(page, uri):
    page.resize(PHONE_WIDTH, 740, is_phone=True)
    page.open(uri)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH


def test_it_prints_without_its_controls(page):
    assert page.print_pdf().startswith(b"%PDF-")
    page.command("Emulation.setEmulatedMedia", media="print")
    try:
        assert not page.evaluate("document.querySelector('.controls').checkVisibility()")
        assert page.evaluate("getComputedStyle(document.querySelector('.context')).maxHeight") == "none"
    finally:
        page.command("Emulation.setEmulatedMedia", media="")
