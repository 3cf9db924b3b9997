"""What is written down, and what the terminal prints."""

import csv
import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from app.storage import Folder
from eval.report.contents import ReportContents
from eval.report.csv_files import niah_csv, ruler_means_csv
from eval.report.growth import render_growth
from eval.report.labels import score_label
from eval.report.parts import Part
from eval.report.section import render_section
from eval.report.tables import Table
from eval.report.terminal import print_report
from eval.report.writing import write_report
from eval.suites.registry import make_parts
from tests.eval.report.report_contents import DEPTHS, LENGTHS, make_contents
from tests.html_reader import Reader


def read_html(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def printed(contents, width=80, **console):
    stream = StringIO()
    print_report(make_parts(contents), Console(file=stream, width=width, **console))
    return stream.getvalue()


def written(folder, contents, headline=None):
    return write_report(Folder(str(folder)), make_parts(contents), headline)


def test_all_files_are_written(tmp_path):
    names = written(tmp_path, make_contents(2, LENGTHS[:2], gaps=True))
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    assert sorted(names) == [
        "niah.csv",
        "niah.png",
        "recall.csv",
        "report.md",
        "ruler.png",
        "ruler_means.csv",
        "ruler_tasks.csv",
        "section.html",
        "short.csv",
    ]
    assert all((tmp_path / name).stat().st_size > 50 for name in names)
    # Again, over what is there; without gaps the models can be compared.
    contents = make_contents(2, LENGTHS[:2])
    assert written(tmp_path, contents, render_growth(contents.of("niah"), {})) == [*names, "headline.html"]


def test_suites_that_were_not_asked_are_left_out(tmp_path):
    contents = make_contents(1, LENGTHS[:2])
    names = written(tmp_path, ReportContents(contents.models, {"niah": contents.of("niah")}))
    assert names == ["niah.csv", "niah.png", "report.md", "section.html"]
    assert "RULER" not in (tmp_path / "report.md").read_text("utf-8")
    assert "RULER" not in (tmp_path / "section.html").read_text("utf-8")


def test_a_model_that_reads_none_of_the_lengths_is_left_out(tmp_path):
    contents = make_contents(2, LENGTHS[:1])
    unread = replace(
        contents.of("niah")[1],
        lengths_tokens=[],
        scores=[[] for _ in DEPTHS],
        placed_percent=[[] for _ in DEPTHS],
    )
    niah_alone = ReportContents(contents.models, {"niah": [contents.of("niah")[0], unread]})
    assert "256k" not in printed(niah_alone)
    written(tmp_path, niah_alone)
    assert "256k" not in (tmp_path / "report.md").read_text("utf-8")
    assert printed(ReportContents(contents.models, {"niah": [unread]})) == ""


def test_the_csv_has_each_cell_and_leaves_gaps_empty():
    contents = make_contents(2, LENGTHS, gaps=True, copies=True)
    rows = list(csv.DictReader(StringIO(niah_csv(contents.of("niah")))))
    assert len(rows) == 2 * len(LENGTHS) * len(DEPTHS)
    by_cell = {(row["model"], int(row["length_tokens"]), float(row["depth_percent"])): row for row in rows}
    for result in contents.of("niah"):
        for y, depth in enumerate(DEPTHS):
            for x, length in enumerate(LENGTHS):
                row, score = by_cell[result.model, length, depth], result.scores[y][x]
                assert row["score_percent"] == ("" if score is None else str(score))
                assert row["num_copies"] == ("2" if length == LENGTHS[-1] else "1")
    means = list(csv.DictReader(StringIO(ruler_means_csv(contents.of("ruler")))))
    assert (means[8]["mean_percent"], means[8]["low_percent"]) == ("", "")
    assert float(means[0]["low_percent"]) < float(means[0]["mean_percent"]) < float(means[0]["high_percent"])


def test_the_section_is_whole_and_fetches_and_runs_nothing():
    html = render_section("Evaluation", make_parts(make_contents(2, LENGTHS[:3])))
    page = read_html(html)
    assert page.seen[0] == "section"
    assert not {"script", "link", "iframe", "html", "body"} & set(page.seen)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|\son\w+=", re.sub(r'base64,[^"]*"', "", html))
    sources = [value for name, value in page.attributes if name == "src"]
    assert len(sources) == 3
    assert all(source.startswith("data:image/png;base64,iVBOR") for source in sources)
    assert page.seen.count("caption") == page.seen.count("table") > 5
    assert sum(name == "alt" and bool(value) for name, value in page.attributes) == 3


def test_names_are_text_on_the_page():
    name = '<script>alert("x")</script>&'
    table = Table(name, ["model", name], [[name, name]])
    page = read_html(render_section(name, [Part("short", name, [name], [table])]))
    assert "script" not in page.seen
    assert page.text.count(name) == 7


@pytest.mark.parametrize("num_models", [1, 2, 6])
def test_the_terminal_prints_within_80_columns(num_models):
    contents = make_contents(num_models, LENGTHS, gaps=True, copies=True)
    text = printed(contents, width=200)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    # A name's middle may be left out, but no cell is cut off.
    assert not re.search(r"…(\s|$)", text)
    assert "Repeated haystack: its text comes 2× at 1M." in text
    assert "samples failed; what they belong to has no score." in " ".join(text.split())
    assert text.count("against base") == 2 * (num_models - 1)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for result in contents.of("ruler"):
        cells = " ".join(score_label(result.scores["cwe"][length]) for length in LENGTHS)
        assert f"cwe {cells}" in lines


def test_grids_stand_side_by_side_where_there_is_room():
    contents = make_contents(2, LENGTHS[:3])
    lines = printed(contents).splitlines()
    [first] = [line for line in lines if line.lstrip().startswith("0%")]
    assert first.count("0% ") == 2


def test_grids_are_coloured_on_a_terminal_alone():
    contents = ReportContents(["m"], {"niah": make_contents(1, LENGTHS[:2]).of("niah")})
    assert "\x1b[" not in printed(contents)
    assert "\x1b[" in printed(contents, force_terminal=True, color_system="truecolor")


def test_a_narrow_terminal_gets_narrow_tables():
    text = printed(make_contents(1, LENGTHS), width=50)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 50
