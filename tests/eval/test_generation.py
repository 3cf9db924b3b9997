from dataclasses import dataclass

import numpy as np
import pytest

from app.storage import Folder
from eval import generation
from eval.generation import part_name, prepare_samples
from eval.samples import Sample, Slot


@dataclass
class Counting:
    """Samples whose tokens tell their slot."""

    num_samples: int = 5
    lengths: tuple[int, ...] = (40, 20)
    name: str = "a"
    excess: int = 0

    def identity(self):
        return {"name": self.name}

    def slots(self):
        return [
            Slot(task, length, index)
            for task in ("t", "u")
            for length in self.lengths
            for index in range(self.num_samples)
        ]

    def make(self, slot):
        num_tokens = slot.length_tokens - 8 + self.excess
        tokens = np.full(num_tokens, slot.index, np.int32)
        facts = {"task": slot.task}
        return Sample(slot.sample_id, slot.task, slot.length_tokens, tokens, 8, ["ö"], "g", facts)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(generation, "PART_TOKENS", 80)


def prepare(maker, cache, num_workers, report):
    return prepare_samples(maker, maker.slots(), cache, num_workers, report)


def read(made, is_wanted=lambda sample_id: True):
    return list(made.samples(is_wanted))


def test_samples_come_back_in_the_order_of_their_slots(tmp_path):
    maker = Counting()
    samples = read(prepare(maker, Folder(str(tmp_path)), 1, lambda line: None))
    assert [sample.sample_id for sample in samples] == [slot.sample_id for slot in maker.slots()]
    assert all(
        (sample.token_ids == slot.index).all() for sample, slot in zip(samples, maker.slots(), strict=True)
    )
    assert samples[0].token_ids.dtype == np.int32
    assert (samples[0].references, samples[0].group, samples[0].facts) == (["ö"], "g", {"task": "t"})


def test_samples_are_made_once(tmp_path, monkeypatch):
    cache, lines = Folder(str(tmp_path)), []
    prepare(Counting(), cache, 1, lines.append)
    assert lines[0] == "generating 20 samples"
    monkeypatch.setattr(Counting, "make", lambda self, slot: pytest.fail("made again"))
    assert len(read(prepare(Counting(), cache, 1, lines.append))) == 20


def test_more_samples_leave_whole_parts_as_they_are(tmp_path):
    cache = Folder(str(tmp_path))
    first = prepare(Counting(num_samples=4), cache, 1, lambda line: None)
    more = prepare(Counting(num_samples=5), cache, 1, lambda line: None)
    kept = {part_name(part) for part in first.parts} & {part_name(part) for part in more.parts}
    # Of 40 tokens two samples make a part, of 20 tokens four.
    assert len(kept) == 2 * (2 + 1)


def test_other_settings_make_other_samples(tmp_path):
    cache = Folder(str(tmp_path))
    one = prepare(Counting(name="a"), cache, 1, lambda line: None)
    other = prepare(Counting(name="b"), cache, 1, lambda line: None)
    assert one.folder.uri != other.folder.uri


def test_only_parts_with_wanted_samples_are_read(tmp_path):
    made = prepare(Counting(), Folder(str(tmp_path)), 1, lambda line: None)
    (tmp_path / made.folder.path.rpartition("/")[2] / part_name(made.parts[0])).unlink()
    wanted = {"t-20-00003", "u-40-00001"}
    assert {sample.sample_id for sample in read(made, wanted.__contains__)} == wanted


def test_processes_make_the_same(tmp_path, monkeypatch):
    alone = read(prepare(Counting(), Folder(str(tmp_path / "one")), 1, lambda line: None))
    monkeypatch.setattr(generation, "TOKENS_WORTH_A_PROCESS", 1)
    together = read(prepare(Counting(), Folder(str(tmp_path / "two")), 2, lambda line: None))
    assert [(s.sample_id, s.token_ids.tolist()) for s in alone] == [
        (s.sample_id, s.token_ids.tolist()) for s in together
    ]


def test_a_sample_above_its_length_is_never_written(tmp_path):
    with pytest.raises(AssertionError, match="t-40-00000 has 41 tokens"):
        prepare(Counting(excess=1), Folder(str(tmp_path)), 1, lambda line: None)
    assert not list(tmp_path.rglob("*.parquet"))


def test_samples_of_an_older_format_are_made_anew_whatever_the_maker_calls_its_values(tmp_path, monkeypatch):
    class WithFormat(Counting):
        def identity(self):
            return {"format": 1}

    maker, cache = WithFormat(), Folder(str(tmp_path))
    older = prepare_samples(maker, maker.slots(), cache, 1, lambda line: None)
    monkeypatch.setattr(generation, "SAMPLES_FORMAT", generation.SAMPLES_FORMAT + 1)
    newer = prepare_samples(maker, maker.slots(), cache, 1, lambda line: None)
    assert older.folder.uri != newer.folder.uri
