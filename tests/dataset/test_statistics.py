"""Statistics: all numbers of the card, counted from narrow columns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dataset.shards import EXAMPLES_DIR
from app.dataset.statistics import MAX_LENGTH_BINS, compute_statistics, length_edges
from app.records.dataset import DatasetStatistics
from app.storage import Folder
from tests.dataset.example_rows import CALLS, make_row, write_dataset


def test_depths_are_those_of_long_inputs(tmp_path):
    rows = [
        make_row(0, depths=(0.05,)),
        make_row(1, depths=(0.55,)) | {"kind": "structure", "task": "recall"},
    ]
    statistics = compute_statistics(write_dataset(tmp_path, rows), CALLS)
    assert statistics.kinds["structure"].tasks == {"recall": 1}
    assert statistics.evidence_depths.counts == [1, *[0] * 9]


def test_everything_is_counted(tmp_path):
    statistics = compute_statistics(write_dataset(tmp_path), CALLS)
    statistics.write(Folder(str(tmp_path)), "statistics.json")
    assert DatasetStatistics.read(Folder(str(tmp_path)), "statistics.json") == statistics
    assert statistics.num_examples == 13
    assert statistics.num_tokens == sum(4000 + 250 * index for index in range(10)) + 3 * 6000 + 3
    long_input = statistics.kinds["long_input"]
    assert (long_input.num_examples, long_input.tasks) == (10, {"compare": 10})
    assert long_input.length_tokens["min"] == 4000
    assert long_input.length_tokens["max"] == 6250
    assert long_input.length_tokens["mean"] == 5125.0
    assert statistics.kinds["long_output"].tasks == {"write": 3}
    assert {step: counts.values() for step, counts in statistics.calls.items()} == CALLS
    assert [each.values() for each in statistics.written_by] == [
        {"generator": "bundled:smollm2-135m-instruct", "prompt_version": "1", "num_examples": 13}
    ]


def test_rejects_are_sorted_by_how_many(tmp_path):
    statistics = compute_statistics(write_dataset(tmp_path), {})
    assert statistics.num_rejects == 3
    assert [each.values() for each in statistics.rejects] == [
        {"step": "filters", "reason": "refusal", "num_rejects": 2},
        {"step": "assembly", "reason": "evidence exceeds target", "num_rejects": 1},
    ]


def test_histograms_hold_every_example_and_passage(tmp_path):
    statistics = compute_statistics(write_dataset(tmp_path), {})
    assert statistics.evidence_depths.counts == [1, 1, 1, 1, 1, 1, 1, 1, 1, 11]
    lengths = statistics.lengths
    assert lengths.edges_tokens[:2] == [4000, 4200]
    assert lengths.counts["long_input"][:3] == [1, 1, 1]
    assert sum(lengths.counts["long_input"]) == 10
    assert sum(lengths.counts["long_output"]) == 3


def test_depths_at_borders_are_in_the_upper_bin(tmp_path):
    rows = [make_row(0, depths=(0.0, 0.1, 0.5, 1.0))]
    statistics = compute_statistics(write_dataset(tmp_path, rows), {})
    assert statistics.evidence_depths.counts == [1, 1, 0, 0, 0, 1, 0, 0, 0, 1]


def test_an_empty_dataset_has_statistics(tmp_path):
    statistics = compute_statistics(write_dataset(tmp_path, [], []), {})
    assert (statistics.num_examples, statistics.num_tokens, statistics.num_rejects) == (0, 0, 0)
    assert statistics.kinds == {}
    assert statistics.evidence_depths.counts == [0] * 10


def test_a_dataset_without_rejects_has_statistics(tmp_path):
    dataset = write_dataset(tmp_path)
    (dataset / "rejects").delete()
    assert compute_statistics(dataset, {}).rejects == []


def test_contexts_are_not_read(tmp_path, monkeypatch):
    import app.dataset.statistics as module

    asked = set()
    real = module.pq.read_table

    def read_table(path, columns, **options):
        if f"/{EXAMPLES_DIR}/" in path:
            asked.update(columns)
        return real(path, columns=columns, **options)

    monkeypatch.setattr(module.pq, "read_table", read_table)
    compute_statistics(write_dataset(tmp_path), {})
    assert asked
    assert not asked & {"messages", "instruction", "document_ids"}


@pytest.mark.parametrize(
    ("shortest", "longest", "edges"),
    [
        (4000, 8000, [*range(4000, 9000, 500)]),
        (4000, 4000, [4000, 4001]),
        (4096, 100_000, [4096, 8192, 16384, 32768, 65536, 131072]),
    ],
)
def test_edges_are_round(shortest, longest, edges):
    assert length_edges(shortest, longest) == edges


@given(st.tuples(st.integers(1, 2_000_000), st.integers(1, 2_000_000)).map(sorted))
def test_edges_enclose_all_lengths(bounds):
    edges = length_edges(*bounds)
    assert edges[0] <= bounds[0]
    assert edges[-1] > bounds[1]
    assert edges == sorted(set(edges))
    assert len(edges) <= MAX_LENGTH_BINS + 6
