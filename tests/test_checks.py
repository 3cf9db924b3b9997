"""What every preflight asks, that no room's own tests ask already."""

import pytest

from app.checks import check_run_dir_name
from app.faults import UserError


@pytest.mark.parametrize(
    ("run_dir", "expected"),
    [
        ("s3:/bucket/x", "run_dir: 's3:/bucket/x' has one slash .*; give s3://bucket/x$"),
        ("gs:/bucket/x", "run_dir: 'gs:/bucket/x' has one slash .*; give gs://bucket/x$"),
        ("file:/shared/x", "run_dir: .* give file://"),
        ("runs/why?", "run_dir: 'runs/why.' has a `.`, which Ray takes for"),
        ("", "run_dir: '' is no name"),
        ("s3://", "run_dir: 's3://' is no name"),
        ("runs/a\0b", "run_dir: .* is no name"),
        ("runs/\udcff", "run_dir: .* is no name"),
    ],
)
def test_a_name_that_is_not_what_it_looks_like_is_refused(run_dir, expected):
    with pytest.raises(UserError, match=expected) as raised:
        check_run_dir_name(run_dir)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "run_dir", ["runs/größe", "runs/a b#[1]%20", "s3://bucket/x?endpoint_override=h", "/s3:/x", "file:///x"]
)
def test_unusual_names_pass(run_dir):
    check_run_dir_name(run_dir)


def test_what_a_folder_above_is_called_counts(tmp_path, monkeypatch):
    (tmp_path / "what?").mkdir()
    monkeypatch.chdir(tmp_path / "what?")
    with pytest.raises(UserError, match="has a `"):
        check_run_dir_name("runs/x")
