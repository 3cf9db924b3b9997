import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.config import EvaluateConfig, RulerConfig
from app.faults import UserError
from app.tokens import Tokenizer
from eval.ruler.definitions import TASKS
from eval.ruler.maker import RulerMaker
from eval.samples import Slot
from tests.eval.prompt_tokenizers import TOKENIZERS, byte_level, write_ingredients
from tests.eval.ruler.ruler_structure import describe

LENGTHS = (4000, 9000)
"""Of a tokenizer with short tokens."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_ingredients(tmp_path_factory.mktemp("data"))


def maker_of(tokenizer, data, template="base", seed=0, **ruler):
    ruler = {"lengths_tokens": list(LENGTHS), "data": str(data), **ruler}
    return RulerMaker(EvaluateConfig(template=template, ruler=RulerConfig(**ruler)), tokenizer, seed)


@pytest.fixture(params=TOKENIZERS, scope="module")
def maker(request, tmp_path_factory, data):
    return maker_of(TOKENIZERS[request.param](tmp_path_factory.mktemp("tokenizer")), data)


@pytest.fixture(scope="module")
def plain(tmp_path_factory, data):
    return maker_of(byte_level(tmp_path_factory.mktemp("tokenizer")), data)


def text_of(maker, sample):
    return maker._tokenizer.decode(sample.token_ids.tolist())


UNIT_TOKENS = {"niah": 130, "vt": 60, "cwe": 90, "fwe": 12, "qa": 120}
"""More than any unit has: a word, a line, three entries of a list, a document."""


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("task", TASKS)
def test_samples_are_full_and_have_the_tokens_of_their_text(maker, task, length):
    for index in range(3):
        sample = maker.make(Slot(task, length, index))
        assert sample.num_tokens <= length
        assert sample.num_tokens > length - UNIT_TOKENS[task.split("_")[0]]
        assert sample.token_ids.tolist() == maker._tokenizer.encode(text_of(maker, sample))
        assert sample.max_output_tokens == TASKS[task].max_output_tokens
        assert sample.references
        assert sample.facts["num_units"] > 0
        assert all(0 <= depth <= 100 for depth in sample.facts.get("depths_percent", []))


@pytest.mark.parametrize("task", TASKS)
def test_each_sample_is_another_one(plain, task):
    texts = {text_of(plain, plain.make(Slot(task, 4000, index))) for index in range(4)}
    assert len(texts) == 4


@pytest.mark.parametrize("task", TASKS)
def test_a_sample_depends_on_its_slot_alone(plain, task):
    fresh = pickle.loads(pickle.dumps(plain))
    assert fresh._families == {}
    fresh.make(Slot(task, 9000, 5))
    again, sample = fresh.make(Slot(task, 4000, 2)), plain.make(Slot(task, 4000, 2))
    assert again.token_ids.tolist() == sample.token_ids.tolist()
    assert (again.references, again.facts) == (sample.references, sample.facts)


def test_another_seed_gives_other_samples(plain, data):
    other = maker_of(plain._tokenizer, data, seed=1)
    slot = Slot("niah_single_1", 4000, 0)
    assert other.make(slot).references != plain.make(slot).references
    assert other.identity() != plain.identity()


@pytest.mark.slow
def test_another_process_makes_the_same_samples(plain):
    slots = [Slot(task, 4000, 1) for task in TASKS]
    code = (
        "import pickle, sys, hashlib, json\n"
        "maker, slots = pickle.loads(bytes.fromhex(sys.stdin.read()))\n"
        "made = [maker.make(slot) for slot in slots]\n"
        "print(json.dumps([[sample.token_ids.tolist(), sample.references, sample.facts] for sample in made]))\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps((plain, slots)).hex(),
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
        env={"PYTHONHASHSEED": "7"},
    )
    made = [plain.make(slot) for slot in slots]
    expected = [[sample.token_ids.tolist(), sample.references, sample.facts] for sample in made]
    assert json.loads(finished.stdout) == expected


@pytest.mark.parametrize("task", TASKS)
def test_a_chat_has_the_question_in_one_turn_and_the_prefix_behind_it(plain, data, task):
    maker = maker_of(plain._tokenizer, data, template="chat")
    sample = maker.make(Slot(task, 4000, 0))
    text = text_of(maker, sample)
    assert sample.num_tokens <= 4000
    assert sample.token_ids.tolist() == maker._tokenizer.encode(text)
    content = re.fullmatch(
        r"<\|im_start\|>user\n(.*)<\|im_end\|>\n<\|im_start\|>assistant\n( .*)", text, flags=re.DOTALL
    )
    prefix = re.sub(r"\\{\w+\\}", ".+", re.escape(TASKS[task].answer_prefix))
    assert re.fullmatch(prefix, content[2])
    assert describe(task, content[1] + content[2], sample.references) is not None


@pytest.mark.parametrize("task", ["niah_single_2", "vt", "cwe", "fwe", "qa_1"])
def test_a_length_that_is_too_short_names_task_and_length(plain, task):
    with pytest.raises(
        UserError, match=rf"ruler, {task} with 200 tokens: lengths_tokens: \d+ tokens are too few"
    ):
        plain.make(Slot(task, 200, 0))


def test_what_is_too_short_is_repeated(plain):
    essays = plain.make(Slot("niah_single_2", 9000, 0))
    assert essays.facts["num_copies"] > 1
    documents = plain.make(Slot("qa_1", 9000, 0))
    found = describe("qa_1", text_of(plain, documents), documents.references)
    assert found["num_distinct"] == 40
    assert documents.facts["num_copies"] == -(-found["num_units"] // 40) > 1


def test_long_lists_have_words_of_the_dictionary(plain):
    short = text_of(plain, plain.make(Slot("cwe", 2500, 0)))
    long = text_of(plain, plain.make(Slot("cwe", 30_000, 0)))
    assert "rare" not in short
    found = re.findall(r"\d+\. (\S+)", long.split("most often.\n")[-1].split("\nQuestion")[0])
    assert all(word.startswith("rare") for word in found)


def test_evidence_is_always_there_and_anywhere(plain):
    depths = []
    for index in range(20):
        sample = plain.make(Slot("qa_2", 4000, index))
        text = text_of(plain, sample)
        assert f"Title {index}-1\n" in text
        assert f"Title {index}-3\n" in text
        assert sample.references == [f"person {index + 1}"]
        depths += sample.facts["depths_percent"]
    assert min(depths) < 25
    assert max(depths) > 75


def test_own_haystack_stands_for_the_essays(plain, data, tmp_path):
    (tmp_path / "own.txt").write_text("Every lighthouse keeper counts the ships. " * 50)
    (data / "PaulGrahamEssays.json").rename(tmp_path / "away.json")
    try:
        maker = maker_of(plain._tokenizer, data, haystack=str(tmp_path / "own.txt"), tasks=["niah_single_2"])
        text = text_of(maker, maker.make(Slot("niah_single_2", 4000, 0)))
        assert "Every lighthouse keeper counts the ships. Every" in text
        assert maker.identity() != plain.identity()
    finally:
        (tmp_path / "away.json").rename(data / "PaulGrahamEssays.json")


def test_slots_are_length_by_length_and_task_by_task(plain, data):
    maker = maker_of(plain._tokenizer, data, tasks=["vt", "fwe"], num_samples=2)
    ids = [slot.sample_id for slot in maker.slots()]
    assert ids[:5] == ["vt-4000-00000", "vt-4000-00001", "fwe-4000-00000", "fwe-4000-00001", "vt-9000-00000"]
    assert len(ids) == 8
    assert len({slot.sample_id for slot in plain.slots()}) == 13 * 2 * 500


def test_identity_is_json_and_knows_tokenizer_template_and_data(plain, data, tmp_path):
    identity = plain.identity()
    assert json.loads(json.dumps(identity)) == identity
    assert maker_of(plain._tokenizer, data, template="chat").identity() != identity
    assert maker_of(plain._tokenizer, data, num_samples=3, tasks=["vt"]).identity() == identity
    other = write_ingredients(tmp_path)
    assert maker_of(plain._tokenizer, other).identity() == identity
    (other / "verblist.txt").write_text("run\n")
    assert maker_of(plain._tokenizer, other).identity() != identity


def test_a_tokenizer_is_loaded_where_samples_are_made(tmp_path, data):
    assert len(pickle.dumps(maker_of(Tokenizer("nowhere"), data))) < 10_000
