"""The page of a dataset: true to its files, of bounded size, and nothing in it is run or fetched."""

import base64
import hashlib
import re

import pytest

from app.cli import main
from app.config import ViewConfig
from app.viewing.page import write_view
from tests.html_reader import Reader
from tests.viewing.viewed_runs import ATTACK, EVIDENCE, long_input, long_output, structure, write_run

REJECTS = (
    ("long-input-00000090-aaaa", "filters", "refusal", f"I cannot help. {ATTACK}"),
    ("long-input-00000091-aaaa", "verification", "not in its evidence", "0.10 < 0.50"),
    ("long-input-00000092-aaaa", "answer", "request refused", "400: too long"),
)


def read_page(run, **view):
    assert write_view(run, ViewConfig(**view)) == f"{run.folder.uri}/dataset.html"
    reader = Reader()
    reader.feed(run.folder.read_bytes("dataset.html").decode())
    reader.close()
    assert reader.open == []
    return reader


def words(page):
    return " ".join(page.text.split())


def says(page, text):
    """Whether the page has a text; between two elements there may be no space."""
    return "".join(text.split()) in "".join(page.text.split())


def values(page, name):
    return [value for attribute, value in page.attributes if attribute == name]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    rows = [long_input(0), long_input(1), structure(2), long_output(3)]
    run = write_run(
        tmp_path_factory.mktemp("mills") / "run", rows, REJECTS, drafts=[long_input(91), long_input(0)]
    )
    return read_page(run), run


def test_it_shows_all_of_an_example(whole):
    for part in (
        "Dataset of run",
        "4 examples and 3 rejects.",
        "long-input-00000001-aaaa long input · compare · 1,001 tokens · 2 documents · 1 evidence passage",
        "When did mill 1 burn down?",
        "In 1893. Answer1",
        "Without any document -2.50 nats a token",
        "Gain by the evidence 1.25 nats a token, at least 0.50",
        "Lost without a document d1 0.50,",
        "Judged relevance 4 of 5",
        "Answer key [3, 1, 2]",
        "Checker ordered_list, of ordered list",
        "Next question And which was the second? Answer The one at the ford.",
        "Write of mills.",
        "prompts of version 7",
    ):
        assert says(whole[0], part), part


def test_the_evidence_is_marked_in_its_context(whole):
    page, run = whole
    html = run.folder.read_bytes("dataset.html").decode()
    marked = re.findall(r"<mark title=\"d2:00003, at 62%\">([^<]*)</mark>", html)
    assert len(marked) == 4
    assert all(each.startswith("The mill burnt down in 1893. &lt;/script&gt;") for each in marked)
    assert says(page, "1 Mills </script>")


def test_a_reject_says_why_and_what_it_started_from(whole):
    text = words(whole[0])
    assert "long input · trace · 4,096 tokens asked for Rejected: refusal at filters I cannot help." in text
    assert "Seed passage of long-input-00000092-aaaa." in text
    # What was an example until the end is shown as one.
    assert (
        "1,091 tokens · 2 documents · 1 evidence passage Rejected: not in its evidence at verification"
        in text
    )
    assert "In 1893. Answer91" in text
    assert "Seed passage of long-input-00000091-aaaa." not in text


def test_filters_find_their_values_at_each_article(whole):
    page, _ = whole
    assert values(page, "data-status") == ["example"] * 4 + ["reject"] * 3
    assert values(page, "data-kind")[2:5] == ["structure", "long_output", "long_input"]
    assert values(page, "data-tokens")[3:] == ["1003", "4096", "1091", "4096"]
    assert says(page, "all example (4) reject (3)")
    assert says(page, "all long input (5) long output (1) structure (1)")


def test_only_our_scripts_may_run_and_nothing_is_fetched(whole):
    page, run = whole
    assert len(page.scripts) == 2
    [policy] = [value for name, value in page.attributes if name == "content" and "default-src" in value]
    for script in page.scripts:
        assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert not {"img", "iframe", "object", "form"} & set(page.seen)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not re.search(r"https?://|url\(|@import", run.folder.read_bytes("dataset.html").decode())
    assert page.seen.count("script") == 2
    assert words(page).count(" ".join(ATTACK.split())) > 20


def test_a_sample_of_a_large_dataset_is_always_the_same(tmp_path):
    rows = [*(long_input(index) for index in range(40)), long_output(40)]
    rejects = [(f"s{index}", "filters", "refusal" if index else "echo", "") for index in range(30)]
    run = write_run(tmp_path / "run", rows, rejects)
    first = read_page(run, num_examples=9, num_rejects=4)
    assert "9 of 41 examples and 4 of 30 rejects." in words(first)
    assert values(first, "data-status") == ["example"] * 9 + ["reject"] * 4
    assert "long_output" in values(first, "data-kind")
    assert "Rejected: echo" in words(first)
    assert read_page(run, num_examples=9, num_rejects=4).text == first.text


def test_long_texts_do_not_make_a_large_page(tmp_path):
    rows = [long_input(index, num_chars=400_000) for index in range(5)]
    run = write_run(tmp_path / "run", [*rows, long_output(5, num_chars=300_000)])
    page = read_page(run, around_chars=50, context_chars=1000, text_chars=600)
    assert len(run.folder.read_bytes("dataset.html")) < 60_000
    assert re.search(r"… 1\d\d,\d{3} characters are left out …", words(page))
    assert "… 299,400 characters are left out …" in words(page)
    assert page.text.count(EVIDENCE) == 5


def test_rows_of_an_older_dataset_are_shown(tmp_path):
    run = write_run(tmp_path / "run", [long_input(1)])
    folder = run.dataset.folder / "examples"
    [name] = folder.list_names()
    kept = ["task_data", "verification", "evidence_spans"]
    folder.write_table(name, folder.read_table(name).drop_columns(kept))
    (run.dataset.folder / "seeds").delete()
    page = read_page(run)
    assert "In 1893. Answer1" in words(page)
    assert "mark" not in page.seen


def test_the_command_writes_the_page_and_nothing_else(tmp_path, capsys):
    run = write_run(tmp_path / "run", [long_input(1)])
    config = run.folder.read_bytes("config.json")
    assert main(["view", run.folder.uri]) == 0
    assert capsys.readouterr().out == f"open      {tmp_path}/run/dataset.html\n"
    assert run.folder.read_bytes("config.json") == config
    assert run.folder.list_names() == ["config.json", "dataset.html"]


def test_a_dataset_that_is_not_finished_is_told_in_a_line(tmp_path, capsys):
    run = write_run(tmp_path / "run", [long_input(1)])
    run.dataset.folder.filesystem.delete_file(run.dataset.folder.file("_complete.json"))
    assert main(["view", run.folder.uri]) == 2
    expected = (
        f"longstrap: view: {tmp_path}/run has no finished dataset; give `longstrap synthesize` first, or"
    )
    assert capsys.readouterr().err.startswith(expected)
