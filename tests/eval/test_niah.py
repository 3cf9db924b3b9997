"""The needle test's prompts: their tokens, lengths and needles, and what they have in common."""

import pickle
import re

import numpy as np
import pytest

from app.faults import UserError
from eval import niah
from eval.niah import NiahMaker, Stretch, bundled_text, needle_places
from eval.prefill_share import expected_prefill_share
from tests.eval.niah_settings import make_config, save_tokenizer

LENGTHS = [1024, 2048, 4096]
NEEDLE = re.compile(r" ?One of the special magic numbers for \w+ is: (\d{7})\. ?")
INTRODUCTION = "Read the following text. I will ask you about it afterwards.\n"


@pytest.fixture(scope="module", autouse=True)
def little_text():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(niah, "START_TOKENS", 4096)
        yield


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer"), bundled_text())


@pytest.fixture(scope="module")
def maker(tokenizer):
    return NiahMaker(make_config(lengths_tokens=LENGTHS, num_trials=2), tokenizer, seed=1)


@pytest.fixture(scope="module")
def samples(maker):
    return [maker.make(slot) for slot in maker.slots()]


@pytest.fixture(scope="module")
def texts(samples, tokenizer):
    return [tokenizer.decode(sample.token_ids) for sample in samples]


def content_of(text):
    """The user's turn without introduction and question."""
    return text.partition(INTRODUCTION)[2].rpartition("\nWhat is the special magic number")[0]


def test_tokens_are_those_of_the_whole_text(samples, texts, tokenizer):
    for sample, text in zip(samples, texts, strict=True):
        assert sample.token_ids.tolist() == tokenizer.encode(text)


def test_prompts_fill_their_length_and_are_never_above_it(samples):
    assert [sample.length_tokens for sample in samples[:33:11]] == [4096, 2048, 1024]
    for sample in samples:
        # A word, and what fit leaves.
        assert sample.length_tokens - 20 <= sample.num_tokens <= sample.length_tokens


def test_prompts_of_a_length_have_the_same_haystack(samples, texts):
    haystacks = {}
    for sample, text in zip(samples, texts, strict=True):
        left, value, right = NEEDLE.split(content_of(text))
        haystack = (left + right).replace(" ", "")
        assert haystacks.setdefault((sample.group, sample.length_tokens), haystack) == haystack
        assert sample.references == [value]
    assert len(haystacks) == 6
    # Shorter ones are the beginning of longer ones; trials begin elsewhere.
    for trial in ("niah-00000", "niah-00001"):
        assert haystacks[trial, 4096].startswith(haystacks[trial, 2048])
        assert haystacks[trial, 2048].startswith(haystacks[trial, 1024])
    assert haystacks["niah-00000", 1024] != haystacks["niah-00001", 1024]


def test_needles_stand_where_the_facts_say(samples, texts, tokenizer):
    for sample, text in zip(samples, texts, strict=True):
        facts = sample.facts
        before, _, behind = NEEDLE.split(content_of(text))
        haystack = tokenizer.count(before + behind)
        assert haystack == pytest.approx(facts["haystack_tokens"], abs=3)
        [depth] = facts["needle_depths_percent"]
        assert depth == pytest.approx(100 * tokenizer.count(before) / haystack, abs=300 / haystack)
        assert abs(depth - facts["depth_percent"]) <= 5
    assert {
        sample.facts["needle_depths_percent"][0] for sample in samples if sample.facts["depth_percent"] == 0
    } == {0}


def test_needles_stand_between_sentences(samples, texts):
    borders = [NEEDLE.split(content_of(text))[0].rstrip("\"')”") for text in texts]
    at_sentences = [not before or before.endswith((".", "!", "?")) for before in borders]
    # In the shortest haystacks the next sentence may be too far away.
    assert all(
        itself for itself, sample in zip(at_sentences, samples, strict=True) if sample.length_tokens > 1024
    )


def test_the_question_stands_behind_and_the_answer_prefix_begins_the_reply(samples, texts):
    for sample, text in zip(samples, texts, strict=True):
        [key] = sample.facts["keys"]
        assert text.startswith(f"<|im_start|>user\n{INTRODUCTION}")
        assert text.endswith(
            f"\nWhat is the special magic number for {key} mentioned in the provided text?<|im_end|>\n"
            f"<|im_start|>assistant\nThe special magic number for {key} mentioned in the provided text is"
        )


def test_nothing_is_repeated_where_the_text_is_long_enough(samples, texts):
    assert {sample.facts["num_copies"] for sample in samples} == {1}
    content = content_of(texts[0])
    windows = [content[place : place + 100] for place in range(0, len(content) - 100, 100)]
    assert all(content.count(window) == 1 for window in windows)


def test_a_short_haystack_is_repeated_and_says_so(tokenizer, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(bundled_text()[:6000])
    maker = NiahMaker(make_config(lengths_tokens=[512, 4096], haystack=str(path)), tokenizer, seed=1)
    made = {slot.length_tokens: maker.make(slot) for slot in maker.slots()}
    assert made[512].facts["num_copies"] == 1
    copies = made[4096].facts["haystack_tokens"] / tokenizer.count(" ".join(path.read_text().split()))
    assert made[4096].facts["num_copies"] == int(np.ceil(copies)) > 1
    assert made[4096].num_tokens > 4096 - 20


def test_trials_begin_the_longest_first_with_the_deepest_needle(maker, samples):
    slots = maker.slots()
    assert len(slots) == len({slot.sample_id for slot in slots}) == 66
    cells = [
        (sample.facts["trial"], -sample.length_tokens, -sample.facts["depth_percent"]) for sample in samples
    ]
    assert cells == sorted(cells)
    assert [sample.group for sample in samples] == ["niah-00000"] * 33 + ["niah-00001"] * 33


def test_each_prompt_shares_all_up_to_its_needle_with_the_first_of_its_group(samples, tokenizer):
    for sample in samples[1:33]:
        length = min(len(sample.token_ids), len(samples[0].token_ids))
        differs = np.nonzero(sample.token_ids[:length] != samples[0].token_ids[:length])[0][0]
        needle = sample.facts["haystack_tokens"] * sample.facts["needle_depths_percent"][0] / 100
        assert differs >= needle + tokenizer.count(INTRODUCTION)


def test_samples_follow_from_settings_and_seed_alone(maker, samples, tokenizer):
    again = pickle.loads(pickle.dumps(maker))
    other = NiahMaker(make_config(lengths_tokens=[8192, 4096, 1024], num_trials=3), tokenizer, seed=1)
    other_seed = NiahMaker(make_config(lengths_tokens=LENGTHS, num_trials=2), tokenizer, seed=2)
    # More trials and other lengths leave samples as they are: they are found in the cache again.
    assert again.identity() == maker.identity() == other.identity() != other_seed.identity()
    by_id = {sample.sample_id: sample for sample in samples}
    for slot in (other.slots()[21], other.slots()[11], other.slots()[50]):
        expected, made = by_id[slot.sample_id], other.make(slot)
        assert made.token_ids.tolist() == expected.token_ids.tolist()
        assert (made.facts, made.references, made.group) == (
            expected.facts,
            expected.references,
            expected.group,
        )
    assert again.make(maker.slots()[40]).token_ids.tolist() == samples[40].token_ids.tolist()
    assert other_seed.make(maker.slots()[0]).references != samples[0].references


@pytest.mark.parametrize(
    "change", [{"depths_percent": [0.0]}, {"question": "Which?"}, {"haystack": __file__}]
)
def test_what_changes_prompts_changes_the_identity(maker, tokenizer, change):
    assert (
        NiahMaker(make_config(lengths_tokens=LENGTHS, **change), tokenizer, 1).identity() != maker.identity()
    )


def test_a_bare_text_runs_on_into_the_answer(tokenizer):
    maker = NiahMaker(make_config("base", lengths_tokens=[1024]), tokenizer, seed=1)
    sample = maker.make(maker.slots()[0])
    text = tokenizer.decode(sample.token_ids)
    assert text.startswith("Read the following text.")
    assert re.search(
        r"provided text\? The special magic number for \w+ mentioned in the provided text is$", text
    )
    assert sample.token_ids.tolist() == tokenizer.encode(text)


def test_several_needles_part_the_rest_evenly(tokenizer):
    config = make_config(lengths_tokens=[4096], depths_percent=[40.0], num_needles=3)
    maker = NiahMaker(config, tokenizer, seed=1)
    sample = maker.make(maker.slots()[0])
    text = tokenizer.decode(sample.token_ids)
    assert sample.facts["needle_depths_percent"] == pytest.approx([40, 60, 80], abs=3)
    assert sample.references == NEEDLE.findall(text) == sample.facts["values"]
    assert sample.token_ids.tolist() == tokenizer.encode(text)
    first, second, third = sample.facts["keys"]
    assert text.count(f"number for {first}, {second}, and {third} mentioned") == 2


def test_haystacks_without_blanks_are_cut_at_their_sentences(tokenizer, tmp_path):
    path = tmp_path / "chinese.txt"
    path.write_text("".join(f"这是第{number}句话，说的是海上的船和风。" for number in range(400)))
    config = make_config(lengths_tokens=[2048], depths_percent=[50.0], haystack=str(path))
    maker = NiahMaker(config, tokenizer, seed=1)
    sample = maker.make(maker.slots()[0])
    text = tokenizer.decode(sample.token_ids)
    assert sample.num_tokens > 2048 - 80
    assert NEEDLE.split(content_of(text))[0].endswith("。")
    assert sample.token_ids.tolist() == tokenizer.encode(text)


def test_text_without_sentences_is_cut_at_words():
    places = np.arange(0, 1001, 10)
    stretch = Stretch(None, sentences=np.array([0, 990]), cuts=places)
    assert needle_places(stretch, 1000, 0.0, 1) == [0]
    assert needle_places(stretch, 1000, 52.0, 1) == [520]
    assert needle_places(stretch, 1000, 98.0, 1) == [990]
    assert needle_places(stretch, 985, 100.0, 1) == [980]


def test_lengths_without_room_are_refused(tokenizer):
    maker = NiahMaker(make_config(lengths_tokens=[160]), tokenizer, seed=1)
    with pytest.raises(UserError, match="lengths_tokens"):
        maker.make(maker.slots()[0])


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ({"depths_percent": [10.0 * step for step in range(1, 11)]}, 0.58),
        ({}, 0.6),
        ({"lengths_tokens": [1024, 2048, 4096]}, 0.58),
        ({"lengths_tokens": [2048, 4096], "depths_percent": [100 * step / 9 for step in range(10)]}, 0.6),
    ],
)
def test_a_grid_costs_at_most_three_fifths_of_its_prefill(tokenizer, settings, most):
    maker = NiahMaker(make_config(**({"lengths_tokens": [4096]} | settings)), tokenizer, seed=1)
    made = [maker.make(slot) for slot in maker.slots()]
    assert 0.45 < expected_prefill_share(made, block_tokens=16) <= most
