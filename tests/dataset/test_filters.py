"""Filters: what is rejected and, as important, what is not."""

import random

import pytest

from app.config import FilterConfig
from app.dataset.filters import (
    check_draft,
    find_similar_instructions,
    is_refusal,
    overlap,
    repetition,
    split_words,
)
from app.schema import ContextDocument, Draft, Passage, Seed

ANSWER = (
    "The flood of 1862 came first and took the lower fields; the second, ten years later, reached the mill. "
    "Both accounts name the same cause, a thaw in the hills after three days of rain."
)
INSTRUCTION = "Compare how the two floods came about and what each of them destroyed."

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but there is nothing in the documents about the mill.",
    "I am very sorry, but the documents give no answer.",
    "I'm afraid I cannot say which of the two came first.",
    "Sorry, I can't provide a comparison of the two floods.",
    "I apologize, but the summaries are unclear.",
    "I apologize for the confusion earlier; here is another try.",
    "My apologies, but I am unable to find the date of the flood.",
    "Unfortunately, I do not have the documents.",
    "Unfortunately, the provided documents do not say anything about floods.",
    "I cannot answer this question without more context.",
    "I can't assist with that request, as it is unclear.",
    "I'm unable to determine which of them is right.",
    "I don't have enough information to answer the question.",
    "I do not have access to the documents you mention.",
    "As an AI language model, I cannot read documents.",
    "As an AI, I don't have personal opinions on floods.",
    "**As a language model, my knowledge ends in 2023.**",
    "No relevant information was found in the documents.",
    "There is no relevant information in the given summaries.",
    "There is not enough information in the text to say.",
    "Insufficient information is available to compare the floods.",
    "The provided text does not contain any information about floods.",
    "The documents do not provide any specific details on the mill.",
    "It is not possible to determine the date from the documents.",
    "This question cannot be answered from what was given.",
    "Please provide the text of the documents so that I can compare them.",
    "Could you please share more context on the floods?",
    "Answer: I cannot provide that.",
]
NO_REFUSALS = [
    ANSWER,
    "I'm Nobody! Who are you? asks the poem's speaker, and the second stanza answers her.",
    "Sorry for his brother, Esau forgave him when they met again after twenty years.",
    "The captain was sorry, but he could not turn back once the ice had closed behind the ship.",
    "Unfortunately, the expedition lost two ships in the first winter and a third in the second.",
    "Unfortunately for Rome, the general could not provide enough grain for the legions in Africa.",
    "As an AI pioneer, Turing asked in 1950 whether machines can think.",
    "As an AI system, Deep Blue searched two hundred million positions a second.",
    "There is no evidence that the two ever met, yet both letters name the same inn.",
    "No ship reached the coast before June, and none left it after September.",
    "The documents do not agree: one says 1862, the other 1863, and the third names no year.",
    "The text does not name the author, but its style and its date point to Defoe.",
    "I. The first account blames the thaw. II. The second blames the miller.",
    "Access to the archive was refused twice, as the second report complains.",
    "It is not the flood but the famine that both writers remember.",
    "Information about the flood came to the town by a rider from the upper valley.",
    "We cannot but admire how the two stories end in the same room.",
    "Nothing relevant to the crown's claim was left out by the second chronicler, who lists nine charters.",
    'The miller says "I cannot help you", and the bailiff "I do not have the key"; only the widow opens.',
    "The second report is the later one. There is no relevant information in the first on who paid.",
    "Requests for help went out on the third day, and the answer came after a week.",
]


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


@pytest.mark.parametrize("answer", REFUSALS)
def test_refusals_are_found(answer):
    assert is_refusal(answer)


@pytest.mark.parametrize("answer", NO_REFUSALS)
def test_answers_are_not_refusals(answer):
    assert not is_refusal(answer)


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


def test_languages_without_spaces_have_words():
    assert split_words("洪水が来た, twice!") == ["洪", "水", "が", "来", "た", "twice"]
    assert reason_of(make_draft(answer="一八六二年の洪水は春の雪解けが原因で起きた。")) is None


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
