import asyncio

import pytest

from app.agent.asking import StepFailedError
from app.agent.llm import FILLING_PRIORITY, FIRST_PRIORITY
from app.agent.summarization import Note, bundle_notes, split_chunks, summarize, supporting_passages
from app.agent.words import WordWeights
from app.config import AgentConfig, VllmConfig
from app.schema import Passage
from tests.agent.conftest import make_document

GENERATOR = VllmConfig(model="any", max_attempts=2)


def run(generate, documents, tokenizer, max_notes_tokens=100, **agent):
    settings = AgentConfig(**{"chunk_tokens": 9, "summary_tokens": 5} | agent)
    return asyncio.run(
        summarize("Trace whales.", documents, 1, generate, settings, GENERATOR, tokenizer, max_notes_tokens)
    )


def test_chunks_are_runs_of_passages_within_the_limit(documents):
    chunks = split_chunks(documents[0], chunk_tokens=9)
    assert [[passage.passage_id for passage in chunk] for chunk in chunks] == [
        ["whales:00000", "whales:00001"]
    ]
    assert len(split_chunks(documents[0], chunk_tokens=8)) == 2


def test_every_chunk_gets_one_call_and_irrelevant_ones_leave_no_note(scripted, documents, tokenizer):
    def answer(call):
        return "NOTHING RELEVANT" if "database" in call.messages[-1]["content"] else "Whales sing and dive."

    generate = scripted({"summary": answer})
    notes = run(generate, documents, tokenizer)
    assert len(generate.calls) == 3
    assert [note.passage_ids[0].split(":")[0] for note in notes] == ["whales", "ports"]


def test_nothing_relevant_anywhere_ends_the_row(scripted, documents, tokenizer):
    with pytest.raises(StepFailedError, match="nothing relevant"):
        run(scripted({"summary": "NOTHING RELEVANT"}), documents, tokenizer)


def test_summaries_that_do_not_fit_are_summarised_again(scripted, documents, tokenizer):
    def answer(call):
        return "All in one." if "Whales one" in call.messages[-1]["content"] else "Whales one two three four."

    generate = scripted({"summary": answer})
    notes = run(generate, documents, tokenizer, max_notes_tokens=10)
    assert [note.text for note in notes] == ["All in one.", "All in one."]
    assert len(generate.calls) == 5
    assert [call.priority for call in generate.calls] == [FILLING_PRIORITY] * 3 + [FIRST_PRIORITY] * 2
    sources = {name.split(":")[0] for note in notes for name in note.passage_ids}
    assert sources == {"whales", "ports", "sqlite"}, "a merged note rests on all that its parts rested on"


def test_depth_of_the_recursion_is_bounded(scripted, documents, tokenizer):
    generate = scripted({"summary": "Just as long as it was before, word for word."})
    with pytest.raises(StepFailedError, match="do not fit"):
        run(generate, documents, tokenizer, max_notes_tokens=3, max_summary_rounds=3)
    assert len(generate.calls) == 3 + 2 + 1


def test_calls_of_one_example_share_their_beginning(scripted, documents, tokenizer):
    generate = scripted({"summary": "Whales sing."})
    run(generate, documents, tokenizer)
    prompts = ["".join(message["content"] for message in call.messages) for call in generate.calls]
    shared = prompts[0].index("Excerpt:")
    assert len({prompt[:shared] for prompt in prompts}) == 1
    assert "Trace whales." in prompts[0][:shared]


def test_bundles_hold_two_notes_at_least(tokenizer):
    notes = [Note("far too many words for one bundle", (str(index),)) for index in range(5)]
    assert [len(bundle) for bundle in bundle_notes(notes, tokenizer, chunk_tokens=3)] == [2, 2, 1]


def test_evidence_is_the_passage_that_shares_the_summarys_words(documents):
    chunk = documents[1].passages
    assert supporting_passages("The harbour silted up", chunk) == ("ports:00001",)
    assert supporting_passages("Quite unrelated prose", chunk) == ("ports:00000",)


def test_a_passage_with_the_fact_is_evidence_beside_one_with_more_common_words():
    texts = [
        "The company that owned the mine and those that lived there would often have wages before winter.",
        "Ada Brink: 1891.",
        "There were many that would have left before winter came.",
    ]
    chunk = make_document("mine", texts).passages
    common = ["that", "there", "would", "have", "before", "were", "many", "winter", "came", "left"]
    weights = WordWeights(dict.fromkeys(common, 0.6))
    summary = (
        "The mine of that company, before there were many that left, would have been of Ada Brink in 1891."
    )
    assert supporting_passages(summary, chunk, weights) == ("mine:00000", "mine:00001")


def test_one_of_two_passages_that_say_the_same_is_enough(documents):
    chunk = make_document(
        "ports", ["Nantucket lived on oil. ", "Nantucket lived on oil and whales. "]
    ).passages
    assert supporting_passages("Nantucket lived on whale oil, on whales", chunk) == ("ports:00001",)


@pytest.mark.parametrize(
    "texts",
    [
        ("商人修理桥梁道路，共六千九百车。", "灯塔管理员记录大麦，一年到头都在。"),
        ("แม่น้ำท่วมเมืองในฤดูฝน", "คนเฝ้าประภาคารจดบันทึกข้าวบาร์เลย์"),
        ("川は春に橋を流した。", "灯台守は大麦を記録している。"),
    ],
)
def test_evidence_is_told_apart_in_scripts_without_spaces(texts):
    chunk = [Passage(f"d:{index:05d}", "d", 0, len(text), 9, text) for index, text in enumerate(texts)]
    for passage in chunk:
        assert supporting_passages(passage.text, chunk) == (passage.passage_id,)
