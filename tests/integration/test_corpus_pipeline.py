"""The corpus through a real Ray: the same for any number of workers, resumed after a kill, stopped by bad rows."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray

from app.config import (
    Config,
    CorpusConfig,
    DatasetConfig,
    DecontaminationConfig,
    LengthRange,
    RetrievalConfig,
    SourceConfig,
    VllmConfig,
)
from app.corpus.pipeline import build_corpus
from app.corpus.sources import list_files
from app.faults import UserError
from app.run import Run
from app.schema import passage_id_of

pytestmark = pytest.mark.timeout(300)

SAMPLE = "bundled:public_domain_sample"
EVALUATION = "Seldom have thirteen words been put in this order by anybody who writes benchmarks."


@contextmanager
def local_ray(num_cpus):
    # Ray's socket paths must stay short, which pytest's own folders are not.
    folder = tempfile.mkdtemp(prefix="ls")
    ray.init(
        address="local",
        num_cpus=num_cpus,
        include_dashboard=False,
        _temp_dir=folder,
        object_store_memory=200_000_000,
        log_to_driver=False,
    )
    try:
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def two_workers():
    """A Ray of two CPUs for all tests; the first one, which needs another before it, stands on top."""
    with local_ray(2):
        yield


def config_of(run_dir, *paths, evaluation=(), **corpus):
    return Config(
        run_dir=str(run_dir),
        corpus=CorpusConfig(
            sources=[SourceConfig(path=str(path)) for path in paths],
            decontamination=DecontaminationConfig(paths=[str(path) for path in evaluation], ruler=False),
            **corpus,
        ),
        retrieval=RetrievalConfig(model="none"),
        generator=VllmConfig(model="bundled:smollm2-135m-instruct"),
        dataset=DatasetConfig(
            num_long_input_seeds=0,
            num_long_output_seeds=0,
            target_lengths=[LengthRange(min_tokens=4000, max_tokens=4000)],
        ),
    )


def sample_texts(number):
    [file] = list_files([SourceConfig(path=SAMPLE)])
    with gzip.open(file.open_filesystem()[1], "rt") as stream:
        return [json.loads(line)["text"] for line, _ in zip(stream, range(number), strict=False)]


def write_parquet(path, num_rows, row_group_rows):
    texts = [
        f"Report {number}. " + f"Line {number} tells of matter {number * 7}. " * 5
        for number in range(num_rows)
    ]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=row_group_rows)


def write_inputs(folder):
    """Rows that are malformed, repeated and contaminated, beside a Parquet file of many row groups."""
    folder.mkdir()
    first, second = sample_texts(2)
    rows = [
        json.dumps({"text": first}),
        json.dumps({"text": second + " And one more word."}),
        '{"text": ',
        json.dumps({"text": ""}),
        json.dumps({"text": f"They say: {EVALUATION}", "title": "Leak"}),
    ]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n")
    (folder / "notes.md").write_text("# Notes\n\nA page that nobody else has written.\n")
    write_parquet(folder / "table.parquet", 60, 10)
    (folder.parent / "evaluation.jsonl").write_text(json.dumps({"question": EVALUATION}) + "\n")


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_corpus_is_the_same_for_any_number_of_workers(tmp_path, request):
    write_inputs(tmp_path / "in")
    lines = []
    records = []

    def build(num_cpus):
        config = config_of(
            tmp_path / f"run{num_cpus}",
            SAMPLE,
            tmp_path / "in",
            passage_tokens=256,
            documents_per_shard=50,
            evaluation=[tmp_path / "evaluation.jsonl"],
        )
        records.append(build_corpus(config, Run(config.run_dir), lines.append))
        assert build_corpus(config, Run(config.run_dir), lines.append) == records[-1]

    with local_ray(1):
        build(1)
    request.getfixturevalue("two_workers")
    build(2)
    assert contents(tmp_path / "run1") == contents(tmp_path / "run2")
    assert records[0] == records[1]
    record = records[0]
    assert record.num_rejects == {
        "read": {"bad JSON": 1, "empty": 1},
        "dedup": {"exact duplicate": 1, "near duplicate": 1},
        "decontamination": {"evaluation text": 1},
    }
    assert (record.num_rows, record.num_documents) == (208 + 5 + 1 + 60, 208 + 1 + 60)
    assert not (tmp_path / "run1" / "corpus" / "_scan").exists()
    assert "269 documents" in lines[-1]
    assert "rejected 2 (bad JSON 1, empty 1)" in lines[-1]
    check_artefact(tmp_path / "run1" / "corpus", record)


def check_artefact(corpus, record):
    """What later jobs rest on: passages tile their documents, stand together and in order."""
    documents = pq.read_table(corpus / "documents").to_pylist()
    passages = pq.read_table(corpus / "passages").to_pylist()
    assert len(documents) == record.num_documents
    assert len(passages) == record.num_passages
    assert sum(row["num_tokens"] for row in documents) == record.num_tokens
    runs = [list(rows) for _, rows in groupby(passages, key=lambda row: row["document_id"])]
    for document, rows in zip(documents, runs, strict=True):
        assert "".join(row["text"] for row in rows) == document["text"]
        ids = [passage_id_of(document["document_id"], index) for index in range(len(rows))]
        assert [row["passage_id"] for row in rows] == ids
    rejects = pq.read_table(corpus / "rejects").to_pylist()
    assert len(rejects) == sum(sum(reasons.values()) for reasons in record.num_rejects.values())


KILLED_JOB = """
import sys
from app.faults import UserError
from tests.integration.test_corpus_pipeline import build_corpus, config_of, local_ray, Run
with local_ray(1):
    config = config_of(sys.argv[1], sys.argv[2], documents_per_shard=5)
    build_corpus(config, Run(config.run_dir), print)
"""


def test_a_killed_job_goes_on_without_reading_its_units_again(tmp_path, two_workers):
    import psutil  # Comes with Ray, once that is imported.

    source = tmp_path / "table.parquet"
    write_parquet(source, 200, 5)
    scan = tmp_path / "run" / "corpus" / "_scan"
    folder = tempfile.mkdtemp(prefix="l")
    job = subprocess.Popen(
        [sys.executable, "-c", KILLED_JOB, str(tmp_path / "run"), str(source)],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": folder},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while not (scan / "unit-00003.json").exists():
            assert job.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        started = psutil.Process(job.pid).children(recursive=True) if job.poll() is None else []
        job.send_signal(signal.SIGKILL)
        job.wait()
        # Its Ray outlives it, and would finish what is in work.
        for process in started:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        _, alive = psutil.wait_procs(started, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)
    assert not alive
    num_done = len(list(scan.glob("unit-*.json")))
    assert 4 <= num_done < 40
    # A mark in what was read shows whether it is read again.
    part = scan / "part-00002-000.parquet"
    table = pq.read_table(part)
    pq.write_table(table.set_column(2, "title", pa.array(["marked"] * table.num_rows)), part)

    config = config_of(tmp_path / "run", source, documents_per_shard=5)
    lines = []
    record = build_corpus(config, Run(config.run_dir), lines.append)
    assert f"corpus: resuming, {num_done} of 40 units are read" in lines
    assert record.num_documents == 200
    titles = pq.read_table(tmp_path / "run" / "corpus" / "documents")["title"].to_pylist()
    assert titles == [""] * 10 + ["marked"] * 5 + [""] * 185


def test_a_broken_evaluation_file_is_told_before_anything_is_read(tmp_path, two_workers):
    write_parquet(tmp_path / "table.parquet", 20, 5)
    (tmp_path / "broken.json").write_text("{")
    config = config_of(tmp_path / "run", tmp_path / "table.parquet", evaluation=[tmp_path / "broken.json"])
    with pytest.raises(UserError, match=r"^corpus\.decontamination: .*broken\.json can't be read") as raised:
        build_corpus(config, Run(config.run_dir), print)
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "run" / "corpus" / "_scan").glob("unit-*"))


def test_too_many_malformed_rows_stop_the_job_until_they_are_allowed_or_mended(tmp_path, two_workers):
    source = tmp_path / "rows.jsonl"
    rows = [json.dumps({"text": text[:2000]}) for text in sample_texts(6)]
    source.write_text("\n".join([*rows, "{", "{", '{"text": 5}', ""]))
    strict, lax = (config_of(tmp_path / "run", source, max_reject_share=share) for share in (0.2, 0.4))
    other = config_of(tmp_path / "other", source)
    lines = []
    with pytest.raises(UserError, match=r"^corpus\.max_reject_share: 3 of 9 rows are malformed") as raised:
        build_corpus(strict, Run(strict.run_dir), lines.append)
    allowed = build_corpus(lax, Run(lax.run_dir), lines.append)
    assert "corpus: resuming, 1 of 1 units are read" in lines
    with pytest.raises(UserError, match="3 of 9 rows"):
        build_corpus(other, Run(other.run_dir), lines.append)
    source.write_text("\n".join(rows))
    mended = build_corpus(other, Run(other.run_dir), lines.append)
    message = str(raised.value)
    assert "33.3%: bad JSON 2, wrong type 1" in message
    assert f"{tmp_path}/run/corpus/rejects" in message
    assert f"{source}:7" in message
    assert "\n" not in message
    assert (allowed.num_documents, allowed.num_rejects["read"]) == (6, {"bad JSON": 2, "wrong type": 1})
    assert any("changed" in line for line in lines)
    assert (mended.num_documents, mended.num_rejects) == (6, {})
