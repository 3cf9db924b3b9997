import json
import re

import pytest

from app.config import EvaluateConfig, RulerConfig
from eval.ruler.definitions import TASKS
from eval.ruler.maker import RulerMaker
from eval.ruler.needles import DEPTHS_PERCENT
from eval.ruler.variable_tracking import chain_lines
from eval.samples import Slot
from tests.eval.prompt_tokenizers import byte_level, write_ingredients
from tests.eval.ruler.ruler_structure import NEEDLE, NOISE

ESSAY_TASKS = ["niah_single_2", "niah_single_3", "niah_multikey_1", "niah_multivalue", "niah_multiquery"]
LINE_TASKS = ["niah_single_1", "niah_multikey_2", "niah_multikey_3"]
LENGTH = 6000


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_ingredients(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def maker(data, tmp_path_factory):
    config = EvaluateConfig(template="base", ruler=RulerConfig(data=str(data)))
    return RulerMaker(config, byte_level(tmp_path_factory.mktemp("tokenizer")), seed=3)


def context_of(maker, sample):
    text = maker._tokenizer.decode(sample.token_ids.tolist())
    return text[text.index(" afterwards.\n") + len(" afterwards.\n") : text.rindex("\nWhat ")]


def test_depths_are_the_forty_of_the_reference():
    assert len(DEPTHS_PERCENT) == 40
    assert DEPTHS_PERCENT[:3] == [0, 3, 5]
    assert DEPTHS_PERCENT[-2:] == [97, 100]


@pytest.mark.parametrize("task", ESSAY_TASKS)
def test_essays_are_whole_around_the_needles(maker, data, task):
    essay = json.loads((data / "PaulGrahamEssays.json").read_text())["text"].split()
    for index in range(12):
        sample = maker.make(Slot(task, LENGTH, index))
        context = context_of(maker, sample)
        rest = re.sub(NEEDLE, " ", context).split()
        num_copies = -(-len(rest) // len(essay))
        assert rest == (essay * num_copies)[: len(rest)]
        assert len(rest) == sample.facts["num_units"]
        # One blank stands on each side of a needle, at the ends of the essays, too.
        for match in NEEDLE.finditer(context):
            assert context[match.start() - 1 : match.start()] == " "
            assert context[match.end() : match.end() + 1] == " "
        starts = [context[: match.start()].rstrip() for match in NEEDLE.finditer(context)]
        assert all(not before or before[-1] in ".!" for before in starts[:-1])


@pytest.mark.parametrize("task", ESSAY_TASKS)
def test_facts_know_where_the_needles_stand(maker, task):
    for index in range(12):
        sample = maker.make(Slot(task, LENGTH, index))
        context = context_of(maker, sample)
        places = [100 * context.index(f" is: {value}.") / len(context) for value in sample.references]
        assert sample.facts["depths_percent"] == pytest.approx(places, abs=9)


@pytest.mark.parametrize("task", LINE_TASKS)
def test_lines_are_whole_around_the_needle(maker, task):
    for index in range(12):
        sample = maker.make(Slot(task, LENGTH, index))
        lines = context_of(maker, sample).split("\n")
        (place,) = [
            number for number, line in enumerate(lines) if line.endswith(f" is: {sample.references[0]}.")
        ]
        others = lines[:place] + lines[place + 1 :]
        assert len(others) == sample.facts["num_units"]
        assert sample.facts["depths_percent"] == [round(100 * place / len(others), 1)]
        # As in the reference, never behind the last line.
        assert place < len(others)
        if task == "niah_single_1":
            assert set(others) == {NOISE}
        else:
            matches = [NEEDLE.fullmatch(line) for line in lines]
            assert all(matches)
            hidden = matches[place][2]
            assert sum(match[2] == hidden for match in matches) == 1


@pytest.mark.parametrize("task", ESSAY_TASKS)
def test_keys_differ_and_references_are_those_of_the_keys_asked_for(maker, task):
    needles = TASKS[task].family
    for index in range(12):
        sample = maker.make(Slot(task, LENGTH, index))
        text = maker._tokenizer.decode(sample.token_ids.tolist())
        values = {}
        for match in NEEDLE.finditer(text):
            values.setdefault(match[2], []).append(match[3])
        assert len(values) == needles.num_keys
        query = re.search(r"What .* for (.+?) mentioned in the provided text\?", text)[1]
        asked = re.split(r", and |, ", query)
        assert len(asked) == needles.num_queries
        assert sorted(value for key in asked for value in values[key]) == sorted(sample.references)
        if needles.num_values == 1:
            assert [values[key][0] for key in asked] == sample.references


def test_a_chain_hands_its_value_on():
    assert chain_lines(["A", "B", "C"], "12345") == ["VAR A = 12345", "VAR B = VAR A ", "VAR C = VAR B "]
