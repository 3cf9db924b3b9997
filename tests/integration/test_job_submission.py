"""Jobs through a real local head with token authentication: submitted by Longstrap and by Ray itself."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.integration.ray_heads import START_SEC, LocalHead, local_head
from tests.integration.synthesis_runs import dataset_ids, write_corpus

ROOT = Path(__file__).parents[2]
JOB_SEC, SYNTHESIS_SEC = 400, 500


@pytest.fixture(scope="module")
def head() -> Iterator[LocalHead]:
    with local_head("--num-cpus=4") as started:
        yield started


def longstrap(verb: str, *arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"ray_jobs.{verb}", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=JOB_SEC,
        check=False,
    )


@pytest.mark.timeout(START_SEC + JOB_SEC)
def test_a_fault_that_only_the_cluster_sees_comes_back_as_one_line(head, tmp_path):
    """The whole way there and back: upload, entrypoint, log, exit code."""
    missing = tmp_path / "not-there"
    done = longstrap(
        *("index", "--config", "laptop.yaml", "--run_dir", str(tmp_path / "run")),
        *("--corpus.sources.0.path", str(missing), "--address", head.address),
        environment=head.environment,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"longstrap: corpus.sources.0.path: '{missing}'" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.timeout(START_SEC + JOB_SEC)
def test_without_the_token_one_line_says_what_to_set(head):
    environment = head.environment | {"RAY_AUTH_MODE": "disabled"}
    done = longstrap(
        *("index", "--config", "laptop.yaml", "--run_dir", "/x", "--address", head.address),
        environment=environment,
    )
    assert done.returncode == 2
    assert "asks for a token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
@pytest.mark.timeout(START_SEC + SYNTHESIS_SEC)
def test_rays_own_command_makes_a_dataset_with_the_real_engine(head, tmp_path):
    """What `make demo` does, smaller, as `ray job submit --working-dir .`: SmolLM2, E5, vLLM, nothing doubled."""
    write_corpus(tmp_path / "corpus.jsonl", num_documents=12)
    run_dir = tmp_path / "run"
    lengths = '{"min_tokens": 1500, "max_tokens": 2500}'
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "ray"), "job", "submit", "--address", head.address),
            *("--working-dir", str(ROOT), "--", "python", "-m", "ray_jobs.synthesize", "--config", "laptop"),
            *("--run_dir", str(run_dir), "--corpus.sources.0.path", str(tmp_path / "corpus.jsonl")),
            *(
                "--dataset.target_lengths.0",
                lengths,
                "--dataset.num_long_input_seeds",
                "3",
                "--corpus.decontamination.ruler",
                "false",
            ),
            *("--dataset.long_output_tokens", '{"min_tokens": 1000, "max_tokens": 4000}'),
            *("--dataset.num_long_output_seeds", "1", "--pipeline.rows_per_batch", "4"),
        ],
        cwd=ROOT,
        env=head.environment,
        capture_output=True,
        text=True,
        timeout=SYNTHESIS_SEC,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    examples, rejects = dataset_ids(run_dir)
    assert len(examples) + len(rejects) == 4
    assert examples, f"nothing but rejects: {rejects}"
    assert f"dataset: {len(examples)} examples" in done.stdout
    for row in pq.read_table(run_dir / "dataset" / "examples").to_pylist():
        assert row["generator"] == "bundled:smollm2-135m-instruct"
        assert row["kind"] == "long_output" or 1500 <= row["num_tokens"] <= 2500
