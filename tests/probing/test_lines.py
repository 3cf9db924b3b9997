"""The probe's lines and its page."""

from app.probing.lines import describe_reading, describe_search, render_probe
from app.records.probe import ProbeRecord, RopeSearchRecord
from tests.record_makers import reading_record


def test_a_line_has_base_needles_and_losses():
    line = describe_reading(reading_record("2 x rule", 4, 3.25, base=312_500.0))
    assert line == (
        "probe 10,240: 2 x rule (base 312,500): needles 4 of 10, loss 3.000, 3.250 beyond the old limit"
    )


def test_the_line_of_a_search_names_the_chosen():
    readings = [reading_record("rule", 2, 3.0), reading_record("4 x rule", 7, 3.0, base=625_000.0)]
    record = RopeSearchRecord(
        model="m", old_tokens=8192, chosen="4 x rule", rope_parameters={}, readings=readings
    )
    assert describe_search("10k", record) == (
        "stage 10k: RoPE 4 x rule (base 625,000): most needles found, 7 of 10 at 10,240 tokens, "
        "the best of 2 candidates"
    )


def test_the_page_has_a_table_for_each_length():
    readings = [reading_record("rule", 2, 3.0), reading_record("rule", 1, None, length_tokens=8192)]
    page = render_probe(ProbeRecord(model="a|b", old_tokens=8192, readings=readings), "probe.png")
    assert page.index("## 8,192 tokens") < page.index("## 10,240 tokens")
    assert "![Loss by position and needles by length](probe.png)" in page
    assert r"a\|b" in page
    assert "2 of 10" in page
