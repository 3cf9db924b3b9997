"""Filters: what is rejected and, as important, what is not."""

import random

import pytest

from app.config import FilterConfig
from app.dataset.filters import (
    check_draft,
    find_similar_instructions,
    overlap,
    repetition,
)
from app.schema import ContextDocument, Draft, Passage, Seed

ANSWER = (
    "The flood of 1862 came first and took the lower fields; the second, ten years later, reached the mill. "
    "Both accounts name the same cause, a thaw in the hills after three days of rain."
)
INSTRUCTION = "Compare how the two floods came about and what each of them destroyed."


def make_draft(answer=ANSWER, instruction=INSTRUCTION, evidence=("d:00000",), kind="long_input"):
    seed = Seed("long_input-1", 1, kind, "compare", "d", "", "", 4000, 1)
    documents = [ContextDocument("d", "", [Passage("d:00000", "d", 0, 4, 1, "text")], 1.0)]
    return Draft(seed, instruction, answer, documents, list(evidence))


def reason_of(draft, **settings):
    reject = check_draft(draft, FilterConfig(**settings))
    if reject is None:
        return None
    assert (reject.row_id, reject.step) == ("long_input-1", "filters")
    return reject.reason


def test_a_good_draft_passes():
    assert reason_of(make_draft()) is None


@pytest.mark.parametrize(
    ("draft", "reason"),
    [
        (make_draft(answer="I'm sorry, but I can't help with that request today."), "refusal"),
        (make_draft(answer="I cannot help."), "refusal"),
        (make_draft(instruction="I'm sorry, but I cannot write an instruction for this."), "refusal"),
        (make_draft(answer="The flood came. " * 20), "repetition"),
        (make_draft(instruction="Compare the two floods again. " * 8), "repetition"),
        (make_draft(answer=f"You ask: {INSTRUCTION}"), "copies instruction"),
        (make_draft(answer="In 1862 and 1872."), "too short"),
        (make_draft(evidence=()), "no evidence"),
        (make_draft(answer="抱歉，我无法回答这个问题，因为资料不足。"), "refusal"),
        (make_draft(answer="洪水来了。" * 20), "repetition"),
        (make_draft(answer="น้ำท่วมเมือง " * 20), "repetition"),
        (
            make_draft(answer="问：比较两次洪水的原因和结果。", instruction="比较两次洪水的原因和结果。"),
            "copies instruction",
        ),
        (make_draft(answer="一八六二年。"), "too short"),
    ],
)
def test_reasons(draft, reason):
    assert reason_of(draft) == reason


def test_bounds_are_settings():
    assert reason_of(make_draft(), min_answer_words=1000) == "too short"
    assert reason_of(make_draft(answer="The flood came. " * 20), max_repetition=1.0) is None
    assert reason_of(make_draft(answer=f"You ask: {INSTRUCTION}"), max_instruction_overlap=1.0) is None


def test_human_text_is_not_judged():
    human = {"kind": "long_output", "evidence": ()}
    assert reason_of(make_draft(answer="Tra la la la. " * 50, **human)) is None
    assert reason_of(make_draft(answer="I am sorry, but I cannot stay, said he.", **human)) is None
    assert reason_of(make_draft(instruction="As an AI model, I cannot see the text.", **human)) == "refusal"


def test_shares_of_ngrams():
    assert repetition("one two three") == 0.0
    assert repetition("") == 0.0
    assert repetition("a b c d a b c d") == pytest.approx(1 / 5)
    assert overlap("a b c d x", "a b c d") == pytest.approx(1 / 2)
    assert overlap("a b c d x", "") == 0.0


@pytest.mark.parametrize(
    "answer",
    [
        "一八六二年の洪水は春の雪解けが原因で起きた。",
        "一八六二年的洪水是春天融雪引起的。",
        "น้ำท่วมครั้งแรกเกิดจากหิมะละลายในฤดูใบไม้ผลิ",
        "첫 번째 홍수는 봄에 산의 눈이 녹아서 일어났고 아래쪽 밭을 덮쳤다.",
    ],
)
def test_languages_without_spaces_have_words(answer):
    assert reason_of(make_draft(answer=answer)) is None


def make_instructions(num_instructions, num_words=20):
    rng = random.Random(7)
    vocabulary = [f"word{i}" for i in range(500)]
    return [(f"s{i}", " ".join(rng.sample(vocabulary, num_words))) for i in range(num_instructions)]


def replace_words(text, num_replaced):
    words = text.split()
    return " ".join([*words[: len(words) - num_replaced], *(f"other{i}" for i in range(num_replaced))])


def test_the_later_of_two_similar_instructions_goes():
    rows = make_instructions(200)
    near = [
        ("near3", replace_words(rows[3][1], 1)),
        ("near5", rows[5][1].upper() + "!"),
        ("far7", replace_words(rows[7][1], 8)),
    ]
    assert find_similar_instructions([*rows, *near], 0.8) == {"near3": "s3", "near5": "s5"}
    assert find_similar_instructions([*near, *rows], 0.8) == {"s3": "near3", "s5": "near5"}
    assert find_similar_instructions([*rows, *near], 0.4) == {"near3": "s3", "near5": "s5", "far7": "s7"}


def test_similar_instructions_are_found_in_chinese():
    rows = [
        ("a", "比较商人修理桥梁与磨坊主报告船只的车数，并说明差异。"),
        ("b", "比较商人修理桥梁与磨坊主报告船只的车数，说明差异！"),
    ]
    assert find_similar_instructions([*rows, ("c", "描述港口储存铜矿石的经过和结果。")], 0.8) == {"b": "a"}


def test_most_near_duplicates_are_found():
    rows = make_instructions(300, 40)
    copies = [(f"copy-{row_id}", replace_words(text, 2)) for row_id, text in rows]
    found = find_similar_instructions([*rows, *copies], 0.8)
    assert all(row_id == f"copy-{other_id}" for row_id, other_id in found.items())
    assert len(found) >= 297


def test_what_was_dropped_drops_nothing():
    first = make_instructions(1, 40)[0][1]
    second, third = replace_words(first, 4), replace_words(first, 8)
    rows = [("first", first), ("second", second), ("third", third)]
    assert find_similar_instructions(rows, 0.75) == {"second": "first"}
    assert find_similar_instructions(rows[1:], 0.75) == {"third": "second"}


def test_empty_instructions_resemble_each_other():
    assert find_similar_instructions([("a", ""), ("b", "?"), ("c", "Compare the floods.")], 0.8) == {"b": "a"}
