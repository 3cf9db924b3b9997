import asyncio
from dataclasses import replace

import pytest

from app.agent.llm import LlmError
from app.agent.prompts import LONG_OUTPUT_OPENINGS, TASKS
from app.agent.workflow import Workflow
from app.config import AgentConfig, VllmConfig
from app.schema import Draft, Reject
from tests.agent.conftest import make_document

SCRIPT = {
    "instruction": "Trace how Nantucket whalers came to hunt sperm whales.",
    "summary": lambda call: (
        "Oil." if "Nantucket lived" in call.messages[-1]["content"] else "Whales dive deep."
    ),
    "selection": '{"notes": [2]}',
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
    assert "Note 1: Oil." in prompt
    assert "Whales dive deep" not in prompt
    assert draft.evidence_ids == ["ports:00000"]


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
                "answer": "商人每年修理桥梁，共2车。上述笔记说明了这一点。他们也修理道路，共3车。最后一句<cut>",
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
    draft, _ = run(replace(seed, text=texts[0]), scripted(script), documents, tokenizer)
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
    run(seed, generate, documents[:1], tokenizer)
    assert generate.num_calls["selection"] == 0


def test_step_that_gives_up_names_itself_in_the_reject(seed, scripted, documents, tokenizer):
    generate = scripted(SCRIPT | {"selection": [LlmError("timed out"), "no JSON"]})
    reject, _ = run(seed, generate, documents, tokenizer)
    assert reject == Reject(seed.seed_id, "selection", "not JSON", "no JSON")


def test_long_output_is_the_document_itself(seed, scripted, documents, tokenizer):
    written = replace(seed, kind="long_output", task="write", passage_id="")
    generate = scripted(dict(SCRIPT))
    draft, queries = run(written, generate, documents, tokenizer)
    assert draft == Draft(written, SCRIPT["backtranslation"], written.text, [], [])
    assert queries == []
    assert generate.calls[0].opening in LONG_OUTPUT_OPENINGS


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
