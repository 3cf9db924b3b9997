import json

import pytest

from benchmarks.scale import PARTS, Sizes, figures_of, measure_part, read_slopes, records_of
from benchmarks.scale_slopes import Slope

TINY = Sizes(
    documents=(6, 12),
    documents_per_shard=6,
    sketches=(64, 128),
    sketches_per_shard=64,
    sketch_files=(1, 4),
    input_files=(4, 8),
    vectors=(600, 1_200),
    passages=(64, 128),
    rows=(64, 128),
    row_groups=(8, 32),
    part_passages=64,
    seeds=(20, 40),
    journal_rows=(1, 2),
    targets=(2_048, 4_096),
    instructions=(20, 40),
    examples=(20, 40),
    stage_tokens=(2**26, 2**27),
)


def slope(values, sizes=(10, 40, 160), unit="sec", law="line"):
    return Slope("things", unit, sizes, tuple(values), law)


def test_exponents_are_read_off():
    assert slope([3, 3, 3]).exponent == pytest.approx(0)
    assert slope([1, 4, 16]).exponent == pytest.approx(1)
    assert slope([1, 16, 256]).exponent == pytest.approx(2)
    assert slope([1, 2, 3], sizes=(10, 10, 10)).exponent == 0


def test_what_is_linear_with_a_start_goes_on_so():
    found = slope([5 + 0.5 * size for size in (10, 40, 160)])
    assert found.per_unit == pytest.approx(0.5)
    assert found.at(1_000_000) == pytest.approx(500_005)


def test_what_is_no_line_is_not_made_one():
    assert slope([1, 8, 64], law="power").at(640) == pytest.approx(512)


def test_noise_does_not_grow():
    found = slope([3.0, 2.9, 3.1])
    assert found.per_unit == 0
    assert found.at(10**9) == pytest.approx(3.0)


def test_small_memory_tells_nothing():
    found = slope([4096, 40_000, 160_000], unit="bytes")
    assert found.exponent == pytest.approx(1)
    assert found.at(1600) == pytest.approx(1_600_000)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_every_part_measures_what_the_figures_need(tmp_path):
    slopes = {}
    for part in PARTS:
        folder = tmp_path / part
        folder.mkdir()
        slopes |= measure_part(part, folder, TINY)
    assert read_slopes(json.loads(json.dumps(records_of(slopes)))) == slopes
    figures = figures_of(slopes)
    assert all(value >= 0 for name, value in figures.items() if "exponent" not in name)
    small, large = slopes["IVF,PQ64np"]["file"].values
    assert 600 * 72 <= large - small < 600 * 72 + 300_000
    # A share of a column is searched, not found done.
    assert slopes["repeats"]["eighth_of_column"].values[1] > 0.1 * slopes["repeats"]["one_column"].values[1]
    # One journal file a call, and every document in a passage.
    assert slopes["journal"]["journal_files"].values == (31, 62)
    assert slopes["corpus"]["corpus"].values[1] > slopes["corpus"]["corpus"].values[0]
