import asyncio
import json
import random
import re
from dataclasses import replace

import pytest

from app.agent.llm import LlmError
from app.agent.prompts import LONG_OUTPUT_OPENINGS, TASKS
from app.agent.workflow import Workflow
from app.config import AgentConfig, VllmConfig
from app.schema import Draft, Reject
from tests.agent.conftest import make_document


def choose(call, *beginnings):
    """The numbers of the notes that begin so, as they are shown."""
    shown = call.messages[-1]["content"]
    numbers = [re.search(rf"Note (\d+) \(document [\d, ]+\): {start}", shown) for start in beginnings]
    return json.dumps({"notes": [int(found[1]) for found in numbers]})


SCRIPT = {
    "instruction": "Trace how Nantucket whalers came to hunt sperm whales.",
    "summary": lambda call: (
        "Oil."
        if "Nantucket lived" in (shown := call.messages[-1]["content"])
        else "Databases have pages."
        if "database" in shown
        else "Whales dive deep."
    ),
    "selection": lambda call: choose(call, "Oil.", "Whales"),
    "answer": "They lived on oil. They dived<cut>",
    "backtranslation": "Write a long piece on how Nantucket whalers hunted whales.",
}


def run(seed, generate, documents, tokenizer):
    queries = []

    async def retrieve(query, num_tokens, document_tokens):
        queries.append((query, num_tokens, document_tokens))
        return documents

    workflow = Workflow(AgentConfig(document_tokens=20), VllmConfig(model="any", max_attempts=2), tokenizer)
    return asyncio.run(workflow(seed, generate, retrieve)), queries


def test_long_input_goes_through_the_four_steps(seed, scripted, documents, tokenizer):
    generate = scripted(dict(SCRIPT))
    draft, queries = run(seed, generate, documents, tokenizer)
    assert isinstance(draft, Draft)
    assert queries == [("Trace how Nantucket whalers came to hunt sperm whales.", 30, 20)]
    assert generate.num_calls == {"instruction": 1, "summary": 3, "selection": 1, "answer": 1}
    assert draft.answer == "They lived on oil."
    assert draft.documents == documents


def test_answer_sees_only_the_selected_notes_and_they_are_its_evidence(seed, scripted, documents, tokenizer):
    generate = scripted(dict(SCRIPT))
    draft, _ = run(seed, generate, documents, tokenizer)
    prompt = next(call for call in generate.calls if call.step == "answer").messages[-1]["content"]
    assert re.search(r"Note \d: Oil\.", prompt)
    assert "Databases" not in prompt
    assert sorted(draft.evidence_ids) == ["ports:00000", "whales:00001"]


def test_notes_are_shown_for_selection_in_an_order_of_the_seeds_own(seed, scripted, documents, tokenizer):
    def shown_first(random_seed):
        generate = scripted(dict(SCRIPT))
        run(replace(seed, random_seed=random_seed), generate, documents, tokenizer)
        (call,) = (call for call in generate.calls if call.step == "selection")
        return re.search(r"Note 1 \(document \d\): (\w+)", call.messages[-1]["content"])[1]

    assert shown_first(7) == shown_first(7)
    assert len({shown_first(random.Random(number).randrange(10**6)) for number in range(12)}) == 3


def test_evidence_of_one_document_is_asked_for_again_and_then_rejected(seed, scripted, documents, tokenizer):
    generate = scripted(SCRIPT | {"selection": lambda call: choose(call, "Oil.")})
    reject, _ = run(seed, generate, documents, tokenizer)
    assert (reject.step, reject.reason) == ("selection", "selection of too few documents")
    assert generate.num_calls["selection"] == 2
    assert generate.num_calls["answer"] == 0
    allowed, _ = run(replace(seed, task="aspects"), generate, documents, tokenizer)
    assert allowed.evidence_ids == ["ports:00000"]


def test_notes_of_too_few_documents_are_not_even_chosen_from(seed, scripted, documents, tokenizer):
    generate = scripted(dict(SCRIPT))
    reject, _ = run(seed, generate, documents[:1], tokenizer)
    assert (reject.step, reject.reason) == ("selection", "notes of too few documents")
    assert generate.num_calls["selection"] == 0


def test_an_answer_that_speaks_of_its_notes_is_asked_for_again(seed, scripted, documents, tokenizer):
    answers = [
        "The passage describes oil. It paid for the harbour.",
        "Oil paid for the harbour of Nantucket.",
    ]
    generate = scripted(SCRIPT | {"answer": answers})
    draft, _ = run(seed, generate, documents, tokenizer)
    assert draft.answer == "Oil paid for the harbour of Nantucket."


@pytest.mark.parametrize(
    ("texts", "script", "answer"),
    [
        (
            ["商人每年修理桥梁和道路。", "灯塔管理员把大麦记录下来。"],
            {
                "instruction": "Trace how 商人修理桥梁和道路。",
                "summary": lambda call: (
                    "没有相关信息。" if "大麦" in call.messages[-1]["content"] else "商人修桥，共2车。"
                ),
                "answer": "商人每年修理桥梁，共2车。他们也修理道路，共3车。最后一句<cut>",
            },
            "商人每年修理桥梁，共2车。他们也修理道路，共3车。",
        ),
        (
            ["แม่น้ำท่วมเมืองในฤดูฝน", "คนเฝ้าประภาคารจดบันทึกข้าวบาร์เลย์"],
            {
                "instruction": "อธิบายว่าแม่น้ำท่วมเมืองในฤดูฝนอย่างไร",
                "summary": lambda call: (
                    "ไม่มีข้อมูลที่เกี่ยวข้อง" if "ประภาคาร" in call.messages[-1]["content"] else "แม่น้ำท่วมเมือง"
                ),
                "answer": "แม่น้ำท่วมเมืองทุกปี ชาวบ้านย้ายขึ้นไปบนเนินเขา แล้วก็<cut>",
            },
            "แม่น้ำท่วมเมืองทุกปี ชาวบ้านย้ายขึ้นไปบนเนินเขา",
        ),
    ],
    ids=["chinese", "thai"],
)
def test_documents_without_spaces_become_a_draft(seed, scripted, tokenizer, texts, script, answer):
    documents = [make_document(f"d{index}", [text]) for index, text in enumerate(texts)]
    draft, _ = run(replace(seed, text=texts[0], task="aspects"), scripted(script), documents, tokenizer)
    assert isinstance(draft, Draft), draft
    assert draft.answer == answer
    assert draft.evidence_ids == ["d0:00000"]


def test_random_passage_stands_in_front_of_the_instructions_prompt(seed, scripted, documents, tokenizer):
    generate = scripted(dict(SCRIPT))
    run(seed, generate, documents, tokenizer)
    call = generate.calls[0]
    assert call.messages[-1]["content"].startswith(seed.text)
    assert call.opening in TASKS["trace"].openings


def test_one_note_needs_no_selection(seed, scripted, documents, tokenizer):
    generate = scripted(dict(SCRIPT))
    run(replace(seed, task="aspects"), generate, documents[:1], tokenizer)
    assert generate.num_calls["selection"] == 0


def test_step_that_gives_up_names_itself_in_the_reject(seed, scripted, documents, tokenizer):
    generate = scripted(SCRIPT | {"selection": [LlmError("timed out"), "no JSON"]})
    reject, _ = run(seed, generate, documents, tokenizer)
    assert reject == Reject(seed.seed_id, "selection", "not JSON", "no JSON")


def test_long_output_is_the_document_itself(seed, scripted, documents, tokenizer):
    written = replace(seed, kind="long_output", task="write", passage_id="")
    generate = scripted(dict(SCRIPT))
    draft, queries = run(written, generate, documents, tokenizer)
    stated = f"{SCRIPT['backtranslation']} It should have about 12 words."
    assert draft == Draft(written, stated, written.text, [], [])
    assert "has about 12 words" in generate.calls[0].messages[-1]["content"]
    assert queries == []
    assert generate.calls[0].opening in LONG_OUTPUT_OPENINGS


def test_a_wrong_length_of_a_long_output_is_asked_for_again(seed, scripted, documents, tokenizer):
    written = replace(seed, kind="long_output", task="write", passage_id="")
    right = "Write a 12-word piece on how Nantucket whalers hunted whales."
    replies = ["Write 500 words on how Nantucket whalers hunted whales.", right]
    draft, _ = run(written, scripted({"backtranslation": replies}), documents, tokenizer)
    assert draft.instruction == right


def test_document_beyond_the_generators_context_is_shown_by_its_two_ends(seed, scripted, tokenizer):
    text = " ".join(f"Nantucket whalers word{number}" for number in range(6000))
    written = replace(seed, kind="long_output", task="write", passage_id="", text=text)
    generate = scripted(dict(SCRIPT))
    draft, _ = run(written, generate, [], tokenizer)
    prompt = generate.calls[0].messages[-1]["content"]
    assert "word0 " in prompt
    assert "word5999" in prompt
    assert tokenizer.count(prompt) < 8192
    assert draft.answer == text


def test_two_seeds_ask_differently(seed, scripted, documents, tokenizer):
    first, second = scripted(dict(SCRIPT)), scripted(dict(SCRIPT))
    run(seed, first, documents, tokenizer)
    run(replace(seed, random_seed=8), second, documents, tokenizer)
    assert {call.key for call in first.calls}.isdisjoint(call.key for call in second.calls)


def test_documents_that_cannot_fill_the_target_end_the_row_before_it_is_paid_for(
    seed, scripted, documents, tokenizer
):
    generate = scripted(dict(SCRIPT))
    reject, _ = run(replace(seed, target_tokens=4000), generate, documents, tokenizer)
    assert (reject.step, reject.reason) == ("retrieval", "documents do not fill target")
    assert generate.num_calls == {"instruction": 1}


def test_targets_of_another_tokenizer_are_compared_with_a_margin(seed, tokenizer):
    class Characters(type(tokenizer)):
        def count(self, text):
            return 2 * super().count(text)

    workflow = Workflow(AgentConfig(), VllmConfig(model="any"), tokenizer)
    assert workflow.own_tokens(replace(seed, target_tokens=2200)) == 2200
    other = replace(workflow, trained_tokenizer=Characters())
    assert other.own_tokens(replace(seed, target_tokens=2200)) == pytest.approx(1000, abs=1)


def test_thoughts_reach_no_text(seed, scripted, documents, tokenizer):
    def thinking(answer):
        def reply(call):
            text = answer(call) if callable(answer) else answer
            return f"<think>\nThe passage is about Note 3.\n</think>\n\n{text}"

        return reply

    generate = scripted({step: thinking(answer) for step, answer in SCRIPT.items()})
    draft, _ = run(seed, generate, documents, tokenizer)
    plain, _ = run(seed, scripted(dict(SCRIPT)), documents, tokenizer)
    assert draft == plain
    endless = SCRIPT | {"answer": "<think>\nThe notes say that Ada owned it. Let me check Note 3.<cut>"}
    reject, _ = run(seed, scripted(endless), documents, tokenizer)
    assert (reject.step, reject.reason) == ("answer", "thoughts without an answer")
