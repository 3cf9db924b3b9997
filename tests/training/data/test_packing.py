"""A stage's plan: exact length and number, shares, epochs, nothing lost or doubled, the same every time."""

import time
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config import StageConfig
from app.faults import UserError
from app.training.data.packing import plan_stage
from app.training.data.supplies import SourceLengths

FIELD = "train.stages.0.mix"


def stage_of(mix, seq_tokens, num_sequences, **more):
    return StageConfig(
        **{
            "name": "long",
            "max_seq_tokens": seq_tokens,
            "mix": mix,
            "num_steps": num_sequences,
            "batch_tokens": seq_tokens,
            "learning_rate": 1e-5,
        }
        | more
    )


def lengths_of(num_tokens, is_text=False, begins=False, num_targets=None):
    num_tokens = np.array(num_tokens, np.int64)
    shape = num_tokens.shape
    return SourceLengths(
        num_tokens=num_tokens,
        num_targets=num_tokens - 1 if num_targets is None else np.array(num_targets, np.int64),
        is_text=np.full(shape, is_text),
        begins_with_separator=np.full(shape, begins),
    )


def units_of(plan):
    """Sequence by sequence: (source, example, start, length) of each unit."""
    rows = list(
        zip(
            [plan.sources[number] for number in plan.unit_source],
            plan.unit_example.tolist(),
            plan.unit_start.tolist(),
            plan.unit_length.tolist(),
            strict=True,
        )
    )
    bounds = plan.first_units.tolist()
    return [rows[start:stop] for start, stop in pairwise(bounds)]


def check_plan(plan, stage, sources):
    """What holds for every plan."""
    sequences = units_of(plan)
    assert len(sequences) == plan.num_sequences == stage.total_steps * stage.sequences_per_step
    assert all(sequences)
    used = defaultdict(Counter)
    num_extras = 0
    for units in sequences:
        room = stage.max_seq_tokens
        for place, (name, example, start, length) in enumerate(units):
            extra = (
                stage.documents == "separator"
                and place
                and not (sources[name].begins_with_separator[example] and start == 0)
            )
            num_extras += bool(extra)
            room -= length + bool(extra)
            used[name][example, start, length] += 1
        assert room >= 0
    assert plan.unit_length.sum() + num_extras + plan.num_padding == plan.num_sequences * stage.max_seq_tokens
    for name, counts in used.items():
        check_epochs(counts, stage, sources[name])


def check_epochs(counts, stage, lengths):
    """All examples come as often, or once less; texts whole in near-equal pieces; chats never cut."""
    pieces = {}
    for example, num_tokens in enumerate(lengths.num_tokens.tolist()):
        fits = lengths.is_text[example] or num_tokens <= stage.max_seq_tokens
        if not fits or not lengths.num_targets[example]:
            assert not any(key[0] == example for key in counts)
            continue
        number = -(-num_tokens // stage.max_seq_tokens)
        bounds = [num_tokens * piece // number for piece in range(number + 1)]
        pieces |= {(example, start, stop - start): 0 for start, stop in pairwise(bounds)}
    assert counts.keys() <= pieces.keys()
    times = [counts[piece] for piece in pieces]
    assert max(times) - min(times) <= 1
    drawn = sum(piece[2] * times for piece, times in counts.items())
    assert drawn <= stage.max_epochs * sum(piece[2] for piece in pieces)


@st.composite
def stages(draw):
    seq_tokens = draw(st.integers(8, 200))
    names = draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True))
    sources = {}
    for name in names:
        is_text = draw(st.booleans())
        tokens = draw(
            st.lists(st.integers(1, seq_tokens * (3 if is_text else 1) + 5), min_size=1, max_size=40)
        )
        sources[name] = lengths_of(tokens, is_text, draw(st.booleans()))
    mix = {name: draw(st.floats(0.1, 4.0)) for name in names}
    documents = draw(st.sampled_from(["mask", "separator"]))
    epochs = draw(st.sampled_from([0.5, 1.0, 2.5, 40.0]))
    return (
        stage_of(mix, seq_tokens, draw(st.integers(1, 30)), documents=documents, max_epochs=epochs),
        sources,
        draw(st.integers(0, 5)),
    )


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(stages())
def test_every_plan_is_whole_or_refused(case):
    stage, sources, seed = case
    try:
        plan = plan_stage(stage, sources, seed, FIELD)
    except ValueError as error:
        refusal = str(error)
        assert refusal.startswith(FIELD)
        assert "\n" not in refusal
        return
    check_plan(plan, stage, sources)
    assert plan.fingerprint == plan_stage(stage, sources, seed, FIELD).fingerprint


def real_sources(num_long=800, num_short=12_000):
    random = np.random.default_rng(1)
    return {
        "long": lengths_of(random.integers(2_000, 60_000, num_long)),
        "short": lengths_of(random.integers(50, 2_000, num_short)),
        "text": lengths_of(random.integers(500, 300_000, 200), is_text=True),
    }


@pytest.mark.parametrize("documents", ["mask", "separator"])
def test_the_shares_hold_over_the_whole_stage_and_over_every_stretch(documents):
    sources = real_sources()
    mix = {"long": 0.6, "short": 0.1, "text": 0.3}
    stage = stage_of(mix, 65_536, 400, documents=documents, max_epochs=1.5)
    plan = plan_stage(stage, sources, 3, FIELD)
    check_plan(plan, stage, sources)
    assert plan.num_padding / (400 * 65_536) < 0.01
    sequences = units_of(plan)
    for width, tolerance in ((400, 0.002), (100, 0.06), (50, 0.1)):
        for first in range(0, 400, width):
            tokens = Counter()
            for units in sequences[first : first + width]:
                for name, _, _, length in units:
                    tokens[name] += length
            for name, share in mix.items():
                assert tokens[name] / tokens.total() == pytest.approx(share, abs=tolerance)
    for name, share in mix.items():
        facts = plan.shares[name]
        assert facts.wanted_share == pytest.approx(share)
        assert facts.num_epochs == facts.num_tokens / sources[name].num_tokens.sum()


def test_sequences_are_well_filled_by_long_units():
    stage = stage_of({"long": 1.0}, 65_536, 300)
    plan = plan_stage(stage, real_sources(), 3, FIELD)
    assert plan.num_padding / (300 * 65_536) < 0.03


def test_the_order_follows_from_the_seed_the_stage_and_nothing_else():
    sources = real_sources()
    stage = stage_of({"long": 0.6, "short": 0.4}, 65_536, 100)
    plan = plan_stage(stage, sources, 3, FIELD)
    turned = stage.model_copy(update={"mix": {"short": 0.4, "long": 0.6}})
    assert plan_stage(turned, dict(reversed(sources.items())), 3, FIELD).fingerprint == plan.fingerprint
    assert plan_stage(stage, sources, 4, FIELD).fingerprint != plan.fingerprint
    renamed = stage.model_copy(update={"name": "longer"})
    assert plan_stage(renamed, sources, 3, FIELD).fingerprint != plan.fingerprint


def test_the_plan_of_a_known_stage_stays_what_it_is():
    # Another numpy, or a change of the packing, must not change it unseen: half-made stages would begin anew.
    sources = {"a": lengths_of([5, 9, 3, 7, 8, 2, 6]), "b": lengths_of([40, 3], is_text=True)}
    plan = plan_stage(stage_of({"a": 1.0, "b": 2.0}, 16, 4, max_epochs=2.0), sources, 0, FIELD)
    assert plan.fingerprint == "26d5ca7e3ea496d4"


def test_no_source_fills_up_what_another_leaves():
    sources = {"a": lengths_of([60] * 20), "b": lengths_of([5] * 200)}
    plan = plan_stage(stage_of({"a": 9.0, "b": 1.0}, 100, 10), sources, 0, FIELD)
    assert {name: facts.num_tokens for name, facts in plan.shares.items()} == {"a": 600, "b": 100}


def test_a_stage_of_which_a_whole_sequence_would_stay_empty_is_refused():
    # Both have the tokens, but no second unit fits what is left of them.
    sources = {"a": lengths_of([76]), "b": lengths_of([76])}
    stage = stage_of({"a": 1.0, "b": 1.0}, 100, 3, max_epochs=1.98)
    with pytest.raises(
        UserError, match=r"needs 150 .* there are 150 .* max_epochs to 1\.99 or num_steps to 2$"
    ):
        plan_stage(stage, sources, 0, FIELD)


def test_what_cannot_be_used_is_left_out_and_counted():
    sources = {"a": lengths_of([10, 1, 30, 8, 9], num_targets=[9, 0, 29, 7, 0])}
    plan = plan_stage(stage_of({"a": 1.0}, 18, 1), sources, 0, FIELD)
    assert sorted(plan.unit_example.tolist()) == [0, 3]
    assert plan.shares["a"].left_out == {"nothing to learn": 2, "longer than max_seq_tokens": 1}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {},
            r"^train\.stages\.0\.mix\.a: stage long needs 500 tokens of source a, 50\.0% of its 1,000, and there "
            r"are 100 at max_epochs 1 \(examples left out: 1 longer than max_seq_tokens\); set max_epochs to 5 or "
            r"num_steps to 2$",
        ),
        (
            {"max_epochs": 2.0, "num_steps": None, "num_tokens": 1000},
            r"there are 200 at max_epochs 2 .*set max_epochs to 5 or num_tokens to 400$",
        ),
    ],
)
def test_a_mix_that_cannot_be_filled_tells_what_would_be_right(more, message):
    sources = {"a": lengths_of([10] * 10 + [200]), "b": lengths_of([10] * 100)}
    stage = stage_of({"a": 1.0, "b": 1.0}, 100, 10, **more)
    with pytest.raises(UserError, match=message):
        plan_stage(stage, sources, 0, FIELD)
    right = stage.model_copy(update={"max_epochs": 5.0})
    assert plan_stage(right, sources, 0, FIELD).shares["a"].num_epochs == 5.0
    if stage.num_steps:
        shorter = stage.model_copy(update={"num_steps": 2})
        assert plan_stage(shorter, sources, 0, FIELD).num_sequences == 2


def test_a_source_without_anything_to_learn_is_refused():
    sources = {"a": lengths_of([10] * 5, num_targets=[0] * 5)}
    with pytest.raises(
        UserError, match=r"are 0 at max_epochs 1 \(examples left out: 5 nothing to learn\); give"
    ):
        plan_stage(stage_of({"a": 1.0}, 100, 1), sources, 0, FIELD)


def test_a_source_that_nearly_fills_the_stage_is_enough():
    sources = {"a": lengths_of([100] * 995)}
    plan = plan_stage(stage_of({"a": 1.0}, 1000, 100 - 0), sources, 0, FIELD)
    assert plan.num_padding == 500


@pytest.mark.slow
def test_a_million_examples_take_seconds():
    random = np.random.default_rng(0)
    sources = {
        "short": lengths_of(random.integers(50, 2_000, 1_000_000)),
        "long": lengths_of(random.integers(10_000, 100_000, 20_000)),
    }
    stage = stage_of({"short": 1.0, "long": 1.0}, 262_144, 7_000)
    started = time.process_time()
    plan = plan_stage(stage, sources, 0, FIELD)
    assert time.process_time() - started < 30
    assert len(plan.unit_source) > 800_000
