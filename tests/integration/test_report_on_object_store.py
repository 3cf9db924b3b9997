"""A run on an object store has its report there, told from the same files."""

import pytest

from app.report.page import write_report
from app.report.reading import read_facts
from app.run import Run
from tests.integration.object_store import ENVIRONMENT, s3_bucket
from tests.report.report_runs import make_config, make_run

pytestmark = pytest.mark.timeout(300)


def test_the_report_of_a_run_on_the_store(tmp_path, monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    config, run = make_run(tmp_path / "run")
    write_report(config, run)
    with s3_bucket(tmp_path / "s3.log") as bucket:
        uri = bucket.put(tmp_path / "run", "runs/mine")
        bucket.filesystem.delete_file(f"{bucket.name}/runs/mine/report.html")
        far = make_config(uri)
        assert write_report(far, Run(uri)).startswith(f"s3://{bucket.name}/runs/mine/report.html")
        assert "runs/mine/report.html" in {f"runs/mine/{path}" for path in bucket.paths("runs/mine")}
        page = Run(uri).folder.read_bytes("report.html").decode()
        for part in ("131,072 → 262,144", "Rejects: 3 of 16 seeds", "2h 30m", "feed" * 16):
            assert part in page
        assert page.count("<img ") == 6
        sizes = read_facts(far, Run(uri)).num_bytes
        assert sizes == read_facts(config, run).num_bytes
        assert sizes["train/256k"] > 5000
