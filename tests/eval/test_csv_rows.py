import csv
from io import StringIO

from eval.csv_rows import render_csv


def test_rows_come_back_with_gaps_empty_and_numbers_without_noise():
    text = render_csv(
        [{"model": 'a "b", c', "score": 0.1 + 0.2, "count": None}, {"model": "d", "score": 1, "count": 2}]
    )
    assert list(csv.DictReader(StringIO(text))) == [
        {"model": 'a "b", c', "score": "0.3", "count": ""},
        {"model": "d", "score": "1", "count": "2"},
    ]
    assert "\r" not in text


def test_no_rows_are_no_text():
    assert render_csv([]) == ""
