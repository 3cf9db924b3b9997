from benchmarks.scale_page import PAGE, render_page
from benchmarks.scale_sizes import Measured
from benchmarks.scale_tables import number, seconds, table


def test_the_page_is_what_was_measured():
    assert PAGE.read_text("utf-8") == render_page(), "run `python -m benchmarks.scale_page`"


def test_a_share_of_a_column_costs_its_reading():
    measured = Measured()
    # Twice the documents in as many shares of a column: more than twice the reading, as each task reads all.
    once, twice = measured.repeats_sec(4e6, 20_000), measured.repeats_sec(8e6, 20_000)
    assert 2 * once < twice < 4 * once


def test_passages_of_many_parts_cost_footers_too():
    measured = Measured()
    few, many = (measured.scattered_sec(passages, 56_000) for passages in (1e7, 1e9))
    assert 0 < few < many < 10 * few


def test_numbers_are_short():
    assert [number(value) for value in (812, 4_096, 1e6, 2.8e7, 1e9)] == ["812", "4.1k", "1M", "28M", "1B"]
    assert [seconds(value) for value in (0.00123, 1.5, 90, 1e6)] == ["1.2 ms", "1.5 s", "1m 30s", "12 days"]


def test_tables_align_their_numbers():
    assert table("a|>b", [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"
