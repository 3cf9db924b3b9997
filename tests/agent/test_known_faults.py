"""Inputs that once went wrong, each with its right outcome."""

import asyncio
from dataclasses import replace

import pytest

from app.agent.parsing import MalformedReplyError, parse_answer, parse_instruction
from app.agent.summarization import supporting_passages
from app.agent.words import WordWeights
from app.agent.workflow import Workflow
from app.config import AgentConfig, VllmConfig
from tests.agent.conftest import make_document

COMMON = WordWeights(
    dict.fromkeys(
        ["that", "there", "would", "have", "before", "were", "many", "winter", "company", "left"], 0.5
    )
    | {"people": 0.26, "number": 0.08, "country": 0.19}
)


@pytest.mark.parametrize(
    "text",
    [
        "The excerpt explores the tin mine of Karlsund and its owner, Ada Brink. It emphasizes her courage in the "
        "flood of 1891, and suggests that others should follow her.",
        "The passage describes the tin mine of Karlsund. Additionally, the passage omits the flood of 1891. The "
        "passage also mentions Ada Brink. The passage concludes with her death.",
        "Note 3 says that the mine closed in 1891, while Note 5 gives 1893 as the year.",
        "Instructions: Trace what led to the flood.\n\nNote: I made changes to enhance clarity and grammar while "
        "maintaining the original message.",
    ],
)
def test_answers_about_their_notes_are_asked_for_again(text):
    with pytest.raises(MalformedReplyError, match="answer speaks of its notes"):
        parse_answer(text, was_cut=False)


def test_a_good_answer_about_bank_notes_and_a_passage_of_a_river_loses_nothing():
    text = (
        "The treaty of Karlsund has two articles. In this passage of the river the tin boats were taxed. The notes of "
        "the Brink Bank were refused in 1891. The mine closed in 1893."
    )
    assert parse_answer(text, was_cut=False) == text


def test_the_passage_with_the_fact_is_evidence():
    texts = [
        "The company that owned the mine and those miners that lived there would often have their wages from their "
        "company before winter came, and there were many that left.",
        "Ada Brink: 1891.",
    ]
    summary = (
        "The mine of that company, before there were many miners, would have belonged to Ada Brink in 1891."
    )
    assert "d:00001" in supporting_passages(summary, make_document("d", texts).passages, COMMON)


@pytest.mark.parametrize(
    ("text", "subject", "request_words"),
    [
        (
            "Tell in the order of time what happened to you last night: The writer is willing to make sacrifices to "
            "save money.",
            "The writer was willing to make sacrifices to save money.",
            "Tell in the order of time",
        ),
        (
            "Find out who has the most number of people in their country.",
            "People and Society - Population - number of people in the country: 911,707",
            "Find out who Its answer takes several steps",
        ),
    ],
)
def test_instructions_that_name_nothing_retrievable_are_asked_for_again(text, subject, request_words):
    with pytest.raises(MalformedReplyError, match="instruction"):
        parse_instruction(text, False, subject, request_words, COMMON)


@pytest.fixture
def karlsund(seed):
    return replace(
        seed, task="multi_hop", text="Ada Brink owned the tin mine of Karlsund.", target_tokens=4000
    )


def test_short_documents_and_evidence_of_one_document_become_no_example(karlsund, scripted, tokenizer):
    def document(number, num_words):
        text = f"Ada Brink and the tin mine of Karlsund, part {number}. " + "tin " * num_words
        return make_document(f"doc{number}", [text])

    script = {
        "instruction": "Find out who owned the tin mine of Karlsund and what became of the Brink family.",
        "summary": "Ada Brink owned the mine of Karlsund.",
        "selection": '{"notes": [1]}',
        "answer": "Ada Brink owned the mine at Karlsund until the flood, and her family moved away afterwards.",
    }

    def run(num_words):
        async def retrieve(query, num_tokens, document_tokens):
            return [document(number, num_words) for number in range(5)]

        generate = scripted(dict(script))
        workflow = Workflow(AgentConfig(), VllmConfig(model="m"), tokenizer)
        return asyncio.run(workflow(karlsund, generate, retrieve)), dict(generate.num_calls)

    reject, calls = run(400)
    assert (reject.step, reject.reason, calls) == (
        "retrieval",
        "documents do not fill target",
        {"instruction": 1},
    )
    reject, _ = run(1000)
    assert (reject.step, reject.reason) == ("selection", "selection of too few documents")
