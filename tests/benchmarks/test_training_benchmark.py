import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.training import bytes_per_token, memory_figures, time_ratios
from benchmarks.training_cells import CELLS, Cell
from benchmarks.training_gpu import figures_of
from benchmarks.training_longest import search_longest
from benchmarks.training_steps import RandomSequences

ROOT = Path(__file__).parents[2]
TIMEOUT_SEC = 200
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"ray", "pydantic", "pyarrow", "datasets"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import benchmarks.training, benchmarks.training_gpu, benchmarks.training_gpu_worker
"""


def run(*arguments):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SEC,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.mark.slow
def test_the_gpu_part_imports_where_ray_and_pydantic_are_missing():
    run("-c", WITHOUT)


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT_SEC + 10)
@pytest.mark.parametrize("side", ["project", "plain"])
def test_the_gpu_part_runs_on_a_cpu_with_tiny_models(tmp_path, side):
    file = tmp_path / "cells.jsonl"
    stop_at = str(time.monotonic() + 60)
    run("-m", "benchmarks.training_gpu_worker", side, str(file), stop_at, "--rehearse")
    cells = [json.loads(line) for line in file.read_text().splitlines()]
    assert [cell["status"] for cell in cells[:2]] == ["measured", "measured"]
    assert not [cell for cell in cells if cell["status"] == "failed"]
    if side == "project":
        assert "over the time budget" in cells[-1]["reason"]


@pytest.mark.parametrize("longest", [1024, 1500, 5000, 9999])
def test_the_search_finds_the_longest_to_within_a_tenth(longest):
    tried = []

    def fits(num_tokens):
        tried.append(num_tokens)
        return num_tokens <= longest

    found = search_longest(fits, 1024)
    assert found <= longest <= 1.1 * found + 128
    assert len(tried) <= 9


def test_a_search_that_cannot_begin_says_so():
    with pytest.raises(RuntimeError, match="1024 tokens do not fit"):
        search_longest(lambda num_tokens: False, 1024)


def test_memory_is_the_worst_of_modes_and_ranks():
    by_ranks = {
        1: {"ulysses": {"peak_bytes": [100]}},
        2: {"ulysses": {"peak_bytes": [50, 51]}, "ring": {"peak_bytes": [55, 50]}},
        4: {"ulysses": {"peak_bytes": [25, 30, 25, 25]}, "ring": {"peak_bytes": [25] * 4}},
    }
    assert memory_figures(by_ranks) == {
        "memory_over_ideal_sp2": pytest.approx(1.1),
        "memory_over_ideal_sp4": pytest.approx(1.2),
    }


def test_memory_that_does_not_grow_is_told_apart():
    by_ranks = {1: {"ulysses": {"peak_bytes": [1000], "quarter_peak_bytes": [400]}}}
    growth = bytes_per_token(by_ranks, 80)
    assert growth == {"ulysses 1": {"bytes_per_token": 10.0, "constant_bytes": 200.0}}


def test_times_are_compared_within_a_repeat():
    assert time_ratios({"one": [1.0, 2.0], "ring": [1.5, 2.0]}) == {"ring": [1.5, 1.0]}


def test_random_documents_are_learned_but_for_their_first_tokens():
    sequences = RandomSequences(10, 50, 4)
    tokens, is_target = sequences.read(0, 3, 9)
    assert list(sequences.starts(0)) == [0, 4, 8]
    assert sequences.num_targets(0) == 7
    assert list(is_target) == [True, False, True, True, True, False]
    assert list(tokens) == list(sequences.read(0, 0, 10)[0][3:9])


def test_cells_of_one_side_are_told_apart():
    for cells in CELLS.values():
        assert len({cell.key for cell in cells}) == len(cells)
    assert Cell("m", 10, 4).boundaries == [0, 4, 8, 10]


def test_figures_compare_with_plain_at_the_longest_length_of_both():
    def cell(side, tokens, rate, documents=None, status="measured"):
        measured = {"tokens_per_sec": rate, "mfu": 0.5, "peak_bytes": 2**30}
        known = {"side": side, "model": "Llama-3.2-1B", "num_tokens": tokens, "document_tokens": documents}
        return {**known, "status": status, **(measured if status == "measured" else {})}

    cells = [
        cell("plain", 32768, 10.0),
        cell("plain", 65536, 0.0, status="out of memory"),
        cell("project", 32768, 15.0),
        cell("project", 131072, 12.0),
        cell("project", 1048576, 11.0, documents=32768),
    ]
    figures = figures_of(cells, [{"check": "all", "worst": 0.004}])
    assert figures["longest_over_plain_Llama-3.2-1B"] == 32
    assert figures["speed_over_plain_Llama-3.2-1B_32k"] == pytest.approx(1.5)
    assert figures["mfu_Llama-3.2-1B_128k"] == 0.5
    assert figures["attention_worst_error"] == 0.004
    assert "tokens_per_sec_Llama-3.2-1B_1024k" not in figures
