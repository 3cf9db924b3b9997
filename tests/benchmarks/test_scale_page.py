"""The numbers of docs/scale.md against benchmarks/results/scale.json."""

import json
import re

import pytest

from benchmarks.scale import RESULT, read_slopes
from benchmarks.scale_slopes import Slope
from tests.test_docs import ROOT

PAGE = (ROOT / "docs" / "scale.md").read_text("utf-8")
RECORD = json.loads(RESULT.read_text("utf-8"))
SLOPES = read_slopes(RECORD["measured"])
UNITS = {"": 1, "k": 1e3, "M": 1e6, "B": 1e9, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "days": 86_400}
UNITS |= {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
NAMES_OF_SIZES = {"vectors": "passages", "input files": "documents", "seeds": "examples", "rows": "examples"}
GROWTH = re.compile(r"\| `([\w,]+)/(\w+)` \| ([^|]+) \| (-?[\d.]+) \| ([^|]+) \| ([^|]+) \|$")
VALUE = re.compile(r"\| `([\w,]+)/(\w+)` \| ([^|]+) \| ([^|]+) \|$")
LIMIT = re.compile(r"\| `([\w,]+)/(\w+)` \| ([^|]+) \| ([^|]+) \| [^|]+ \|$")


def shown(text: str) -> tuple[float, float]:
    """A quantity such as `2.2 h`, and half of its last digit shown."""
    found = re.fullmatch(r"([\d,]+(?:\.(\d+))?) ?(\w*)", text.strip())
    assert found is not None, text
    unit = UNITS[found[3]]
    return float(found[1].replace(",", "")) * unit, 0.5001 * unit * 10 ** -len(found[2] or "")


def assert_shown(text: str, value: float) -> None:
    number, half_digit = shown(text)
    assert number == pytest.approx(value, abs=half_digit)


def sizes_of(heading: str, slope: Slope) -> float:
    """The size that a column's heading gives for what a quantity counts."""
    counted = dict(reversed(each.strip().split(" ", 1)) for each in heading.split(", "))
    return shown(counted[NAMES_OF_SIZES.get(slope.of, slope.of)])[0]


def table_rows(pattern: re.Pattern[str]) -> list[tuple[list[str], re.Match[str]]]:
    """Rows of a pattern, each with the headings of its table."""
    rows, headings, before = [], [], ""
    for line in PAGE.splitlines():
        if line.startswith("|---"):
            headings = [cell.strip() for cell in before.strip("|").split("|")]
        elif (
            line.startswith("|") and len(headings) == line.count("|") - 1 and (found := pattern.search(line))
        ):
            rows.append((headings, found))
        before = line
    return rows


@pytest.mark.parametrize(("headings", "row"), table_rows(GROWTH))
def test_growth_is_what_was_measured(headings, row):
    slope = SLOPES[row[1]][row[2]]
    assert_shown(row[3], slope.sizes[-1])
    assert float(row[4]) == pytest.approx(slope.exponent, abs=0.00501)
    for heading, value in zip(headings[-2:], row.groups()[4:], strict=True):
        assert_shown(value, slope.at(sizes_of(heading, slope)))


@pytest.mark.parametrize(("headings", "row"), [each for each in table_rows(VALUE) if each[0][-1] == "value"])
def test_single_values_are_what_was_measured(headings, row):
    slope = SLOPES[row[1]][row[2]]
    size = shown(row[3])[0]
    assert size in slope.sizes
    assert_shown(row[4], slope.at(size))


@pytest.mark.parametrize(("headings", "row"), [each for each in table_rows(LIMIT) if "limit" in each[0]])
def test_limits_are_reached_where_the_page_says(headings, row):
    slope = SLOPES[row[1]][row[2]]
    size, half_digit = shown(row[4])
    assert slope.at(size - half_digit) <= shown(row[3])[0] <= slope.at(size + half_digit)


def test_every_table_is_compared():
    rows = [
        *table_rows(GROWTH),
        *(each for each in table_rows(VALUE) if each[0][-1] == "value"),
        *(each for each in table_rows(LIMIT) if "limit" in each[0]),
    ]
    assert len(rows) == len(re.findall(r"^\| .* \| `[\w,]+/\w+` \|", PAGE, re.MULTILINE)) >= 40


def test_date_and_machine_are_those_of_the_file():
    assert RECORD["date"] in PAGE
    assert RECORD["machine"]["cpu"] in re.sub(r"\s+", " ", PAGE)
