from collections import Counter
from random import Random

import pyarrow as pa
import pytest

from app.config import LengthRange
from app.dataset.seeds import (
    NO_BOUND,
    Candidate,
    LowestCandidates,
    draw_length,
    draw_seeds,
    fill_part,
    lowest_candidates,
    priority_bound,
    scan_part,
)
from app.faults import UserError
from app.recipe import load_config
from app.schema import DOCUMENT_SCHEMA, PASSAGE_SCHEMA
from app.storage import Folder

OVERRIDES = (
    *("--dataset.num_long_input_seeds", "30", "--dataset.num_long_output_seeds", "4"),
    *("--dataset.num_structure_seeds", "0"),
    *(
        "--dataset.structure_task_weights",
        "{recall: 2, order: 1, missing: 1, repeats: 1, count: 1, mentions: 1}",
    ),
)
STRUCTURE = ("--dataset.num_structure_seeds", "80")


@pytest.fixture(scope="module")
def config():
    return load_config("laptop", OVERRIDES)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two parts: 20 documents of 3 passages each; every second one is of a long output's length."""
    folder = Folder(str(tmp_path_factory.mktemp("corpus")))
    for part in range(2):
        documents, passages = [], []
        for number in range(part * 10, part * 10 + 10):
            name = f"{number:016x}"
            num_tokens = 5000 if number % 2 else 300
            documents.append((name, f"whole text {number}", "", "a.jsonl", number, num_tokens))
            passages += [(f"{name}:{i:05d}", name, i, i + 1, 10, f"passage {number}.{i}") for i in range(3)]
        for kind, rows, schema in (
            ("documents", documents, DOCUMENT_SCHEMA),
            ("passages", passages, PASSAGE_SCHEMA),
        ):
            table = pa.Table.from_pylist(
                [dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema
            )
            (folder / kind).write_table(f"part-{part}.parquet", table)
    return folder


def scan(corpus, config, parts=("part-0.parquet", "part-1.parquet")):
    found = [scan_part(corpus, config, part) for part in parts]
    return {kind: sorted(each for of_part in found for each in of_part[kind]) for kind in found[0]}


def test_draw_does_not_depend_on_the_order_of_the_parts(corpus, config):
    forward = draw_seeds(config, scan(corpus, config))
    backward = draw_seeds(config, scan(corpus, config, ("part-1.parquet", "part-0.parquet")))
    assert forward == backward


def test_ids_are_unique_and_indices_follow_the_files(corpus, config):
    drawn = draw_seeds(config, scan(corpus, config))
    assert len({each.seed.seed_id for each in drawn}) == 34
    assert [each.seed.seed_index for each in drawn] == list(range(34))
    assert [each.part for each in drawn] == sorted(each.part for each in drawn)
    assert Counter(each.seed.kind for each in drawn) == {"long_input": 30, "long_output": 4}


def test_another_seed_draws_others(corpus, config):
    other = load_config("laptop", (*OVERRIDES, "--seed", "2"))
    first, second = (draw_seeds(each, scan(corpus, each)) for each in (config, other))
    assert {each.seed.passage_id for each in first} != {each.seed.passage_id for each in second}


def test_passages_are_drawn_without_repetition_while_there_are_enough(corpus, config):
    passages = [
        each.seed.passage_id for each in draw_seeds(config, scan(corpus, config)) if each.seed.passage_id
    ]
    assert len(set(passages)) == 30


def test_small_corpus_gives_a_passage_twice_with_another_task_or_length(corpus):
    config = load_config("laptop", (*OVERRIDES[:1], "120", *OVERRIDES[2:]))
    drawn = [each.seed for each in draw_seeds(config, scan(corpus, config)) if each.seed.passage_id]
    assert len(drawn) == 120
    assert len({(seed.passage_id, seed.task, seed.target_tokens) for seed in drawn}) == 120


def test_structure_seeds_are_drawn_by_their_own_priorities_weights_and_texts(corpus):
    config = load_config("laptop", (*OVERRIDES, *STRUCTURE))
    drawn = draw_seeds(config, scan(corpus, config))
    found = [each.seed for each in drawn if each.seed.kind == "structure"]
    assert len(found) == 80
    assert set(Counter(seed.task for seed in found)) == set(config.dataset.structure_task_weights)
    assert Counter(seed.task for seed in found)["recall"] > 20
    part = [each.seed for each in drawn if each.part == "part-0.parquet" and each.seed.kind == "structure"]
    for row in fill_part(corpus, "part-0.parquet", part).to_pylist():
        assert row["text"].startswith(f"passage {int(row['document_id'], 16)}.")


def test_long_inputs_stay_the_same_whether_there_are_structure_seeds_or_not(corpus, config):
    with_structure = load_config("laptop", (*OVERRIDES, *STRUCTURE))

    def long_inputs(each):
        drawn = draw_seeds(each, scan(corpus, each))
        return {(seed.seed_id, seed.task) for seed, _ in drawn if seed.kind == "long_input"}

    assert long_inputs(config) == long_inputs(with_structure)


def test_too_few_documents_for_the_long_outputs_are_named(corpus):
    config = load_config("laptop", (*OVERRIDES[:3], "11"))
    with pytest.raises(UserError, match=r"dataset\.num_long_output_seeds: 11 .* has 10 documents"):
        draw_seeds(config, scan(corpus, config))


def test_seeds_get_the_text_of_their_passage_or_document(corpus, config):
    drawn = draw_seeds(config, scan(corpus, config))
    seeds = [each.seed for each in drawn if each.part == "part-1.parquet"]
    rows = fill_part(corpus, "part-1.parquet", seeds).to_pylist()
    assert [row["seed_id"] for row in rows] == [seed.seed_id for seed in seeds]
    for row in rows:
        number = int(row["document_id"], 16)
        wanted = f"whole text {number}" if row["kind"] == "long_output" else f"passage {number}."
        assert row["text"].startswith(wanted)


def test_lengths_follow_their_weights_and_stay_in_their_ranges():
    ranges = [
        LengthRange(min_tokens=10, max_tokens=19, weight=3.0),
        LengthRange(min_tokens=50, max_tokens=59),
    ]
    rng = Random(1)
    lengths = [draw_length(ranges, rng) for _ in range(2000)]
    assert set(lengths) == {*range(10, 20), *range(50, 60)}
    assert 0.7 < sum(length < 20 for length in lengths) / 2000 < 0.8


def test_lowest_candidates_are_those_of_the_whole():
    rows = [(f"id-{number}", 1) for number in range(200)]
    whole = lowest_candidates(rows, "p", 1, "long_input", 20)
    halves = lowest_candidates(rows[:100], "p", 1, "long_input", 20) + lowest_candidates(
        rows[100:], "p", 1, "long_input", 20
    )
    assert sorted(halves)[:20] == whole


def test_gathered_candidates_are_the_lowest_of_all_however_they_come():
    candidates = [Candidate(priority * 7919 % 1009, f"id-{priority}", "p", 1) for priority in range(1000)]
    gathered = LowestCandidates(30)
    for first in range(0, 1000, 40):
        gathered.add(candidates[first : first + 40])
        assert len(gathered._candidates) <= 60
    assert gathered.lowest() == sorted(candidates)[:30]


@pytest.mark.parametrize("count", [1, 20, 300])
def test_below_the_bound_lie_as_many_as_are_wanted_and_hardly_more(count):
    rows = [(f"id-{number}", 1) for number in range(20_000)]
    bound = priority_bound(count, len(rows))
    below = lowest_candidates(rows, "p", 1, "long_input", len(rows), bound)
    assert count <= len(below) <= count + 16 * count**0.5 + 128
    assert below[:count] == lowest_candidates(rows, "p", 1, "long_input", count)


def test_a_small_corpus_has_no_bound():
    assert priority_bound(100, 200) == NO_BOUND


def test_only_passages_are_bound(corpus):
    config = load_config("laptop", (*OVERRIDES, *STRUCTURE))
    bound = scan_part(corpus, config, "part-0.parquet", bound=NO_BOUND // 2)
    every = scan_part(corpus, config, "part-0.parquet")
    for kind in ("long_input", "structure"):
        assert bound[kind] == [each for each in every[kind] if each.priority < NO_BOUND // 2]
        assert 0 < len(bound[kind]) < len(every[kind])
    assert bound["long_output"] == every["long_output"]
