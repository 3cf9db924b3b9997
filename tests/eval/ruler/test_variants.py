"""The published protocols, in the texts that the reference's scripts write."""

import random
import re
from itertools import pairwise

import pytest
from pydantic import ValidationError

from app.config import EvaluateConfig, RulerConfig
from eval.ruler.definitions import TASKS
from eval.ruler.maker import RulerMaker
from eval.samples import Slot
from eval.suites.ruler import ruler_remarks
from tests.eval.prompt_tokenizers import byte_level, digit_groups, write_ingredients

NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
HEAD, TAIL = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_ingredients(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return byte_level(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def made(data, tokenizer):
    def make(protocol, task, index=0, length=3900, template="base", tokenizer=tokenizer):
        config = EvaluateConfig(template=template, ruler=RulerConfig(data=str(data), protocol=protocol))
        maker = RulerMaker(config, tokenizer, 0)
        sample = maker.make(Slot(task, length, index))
        text = tokenizer.decode(sample.token_ids.tolist())
        assert sample.num_tokens <= length
        assert sample.token_ids.tolist() == tokenizer.encode(text)
        return text, sample

    return make


def test_variables_of_2024_stand_within_the_lines_of_noise(made):
    text, sample = made(2024, "vt")
    names = sample.references
    example, question = text.split("\n\n\n\n")
    asked = re.fullmatch(
        r"Memorize and track the chain\(s\) of variable assignment hidden in the following text\.\n\n"
        r"(?P<context>.*)\nQuestion: Find all variables that are assigned the value (?P<value>\d{5}) in the text "
        r"above\. Answer: According to the chain\(s\) of variable assignment in the text above, 5 variables are "
        r"assgined the value (?P=value), they are: ",
        question,
        re.DOTALL,
    )
    chain = [f"VAR {names[0]} = {asked['value']}"]
    chain += [f"VAR {name} = VAR {before} " for before, name in pairwise(names)]
    # What the script does: all joined by blanks, and noise alone has line breaks.
    pieces = re.split(r"(VAR [A-Z]{5} = (?:\d{5}|VAR [A-Z]{5} ))", asked["context"])
    assert pieces[1::2] == chain
    sentences = [
        each for piece in pieces for each in (re.findall(f"{NOISE}\n", piece) or [piece]) if each.strip()
    ]
    assert asked["context"] == " ".join(sentences)
    assert len(sentences) == sample.facts["num_units"] + 5

    shown = re.fullmatch(
        r" Memorize and track the chain\(s\) of variable assignment hidden in the following text\. (?P<context>.*) "
        r"Question: Find all variables that are assigned the value (?P<value>\d{5}) in the text Answer: According to "
        r"the chain\(s\) of variable assignment in the text above, 5 variables are assgined the value (?P=value), they "
        r"are:  (?P<names>[A-Z]{3}(?: [A-Z]{3}){4})",
        example,
        re.DOTALL,
    )
    assert shown["context"].count(NOISE) % 5 == 0
    assert made(2024, "vt", index=1)[0].split("\n\n\n\n")[0] == example


@pytest.mark.parametrize(("protocol", "gap"), [(2024, ""), (2025, " ")])
def test_the_example_of_cwe_has_a_template_of_its_own_in_the_script(made, protocol, gap):
    text, _ = made(protocol, "cwe", template="chat")
    start = TASKS["cwe"].answer_prefix
    assert text.count(HEAD) == text.count(TAIL) == 2
    assert re.search(re.escape(f"{TAIL}{start}{gap}1. ") + r"\S+ .*10\. \S+\n" + re.escape(HEAD), text)
    assert text.endswith(f"{TAIL}{start}")
    assert made("nemo_skills", "cwe", template="chat")[0].count(HEAD) == 1


@pytest.mark.parametrize("task", ["niah_single_1", "vt", "cwe", "fwe", "qa_1"])
def test_nemo_skills_takes_blanks_off_the_start_of_the_reply(made, task):
    text, sample = made("nemo_skills", task, template="chat")
    assert not sample.answer_prefix.startswith(" ")
    assert text.endswith(sample.answer_prefix)
    assert not text.endswith(" ")
    own = made("own", task, template="chat")[1].answer_prefix
    assert own.startswith(" ")


@pytest.mark.parametrize("protocol", [2024, 2025, "nemo_skills"])
def test_the_evidence_of_qa_1_stands_where_the_reference_shuffles_it(made, protocol):
    samples = [made(protocol, "qa_1", index, length=1800)[1] for index in range(4)]
    for sample in samples:
        num_documents = sample.facts["num_units"]
        order = list(range(num_documents))
        random.Random(42).shuffle(order)
        assert sample.facts["depths_percent"] == [round(100 * order.index(0) / num_documents, 1)]
    # All have as many documents as the first one, or ten less.
    counts = {sample.facts["num_units"] for sample in samples}
    assert max(counts) == samples[0].facts["num_units"]
    assert {(max(counts) - count) % 10 for count in counts} == {0}


def test_more_places_than_documents_hold_all_of_them_in_turn(made):
    text, sample = made(2025, "qa_1", length=9000)
    assert sample.facts["num_units"] > 40
    order = [number % 40 for number in range(sample.facts["num_units"])]
    random.Random(42).shuffle(order)
    found = re.findall(r"Document \d+:\nArticle (\d), paragraph (\d)", text)
    assert [5 * int(article) + int(paragraph) for article, paragraph in found] == order


def test_a_beginning_token_stands_once(made, tmp_path):
    text, _ = made(2024, "vt", tokenizer=digit_groups(tmp_path))
    assert "Memorize" in text


def test_each_protocol_has_samples_of_its_own(data, tokenizer):
    def identity(protocol):
        config = EvaluateConfig(ruler=RulerConfig(data=str(data), protocol=protocol))
        return RulerMaker(config, tokenizer, 0).identity()

    assert len({str(identity(protocol)) for protocol in ("own", 2024, 2025, "nemo_skills")}) == 4


def test_a_report_names_the_protocol_and_warns_of_older_rows():
    own, old, new = (
        ruler_remarks(EvaluateConfig(ruler=RulerConfig(protocol=protocol)))
        for protocol in ("own", 2024, 2025)
    )
    assert "before May 2025" in own[0]
    assert old == ["The protocol is that of RULER's script in 2024."]
    assert new == ["The protocol is that of RULER's script since May 2025.", own[0]]


def test_published_protocols_are_not_asked_as_chats():
    with pytest.raises(
        ValidationError, match=r"ruler.protocol 2024 is one of text completions; set api completions"
    ):
        EvaluateConfig(api="chat", ruler=RulerConfig(protocol=2024))
