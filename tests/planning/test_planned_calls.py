"""Expected calls against the workflow itself, and against a real run's."""

import asyncio
import json
import random
from collections import Counter

import pytest

from app.agent.llm import LlmReply
from app.agent.workflow import Workflow
from app.config import Config, VerificationConfig
from app.dataset.seeds import draw_length
from app.planning.calls import plan_calls, retrieved
from app.planning.corpus import CorpusPlan, plan_corpus
from app.planning.data import dataset_tokens, example_lengths
from app.planning.lengths import of_counts
from app.planning.plan import make_plan
from app.planning.tables import render_plan
from app.recipe import load_config
from app.schema import ContextDocument, Draft, Passage, Seed
from tests.integration.endpoint_double import choose_notes

PASSAGE_TOKENS = 40
SUBJECT = "Nantucket whalers hunted whales"
INSTRUCTION = "Trace how Nantucket whalers hunted whales before the harbour silted up there."


class WordTokenizer:
    """One token a word."""

    def count(self, text):
        return len(text.split())

    def count_batch(self, texts):
        return [self.count(text) for text in texts]


class CountingGenerator:
    """Replies of fixed lengths; counts the calls of each step and the words that are asked."""

    def __init__(self):
        self.num_calls = Counter()
        self.prompt_words = Counter()

    async def __call__(self, call):
        self.num_calls[call.step] += 1
        self.prompt_words[call.step] += sum(len(message["content"].split()) for message in call.messages)
        replies = {
            "instruction": INSTRUCTION,
            "summary": "Whales " * 29 + "dive.",
            "selection": json.dumps({"notes": choose_notes(call.messages[-1]["content"])}),
            "answer": "They lived on oil and dived deep.",
        }
        return LlmReply(replies[call.step], "stop", num_prompt_tokens=1, num_output_tokens=1)


def draw_corpus(rng, num_documents=400):
    """Documents of 1 to 60 passages of 20 to 60 tokens, most of them short."""
    return [
        [rng.randint(20, 60) for _ in range(min(60, 1 + int(rng.expovariate(0.12))))]
        for _ in range(num_documents)
    ]


def corpus_of(documents):
    lengths = [sum(passages) for passages in documents]
    return CorpusPlan(len(lengths), sum(lengths), sum(map(len, documents)), of_counts(lengths), "the test")


def retrieve_from(corpus, rng):
    """Documents by a random passage of theirs, until there are tokens enough, as the retriever fills a query."""

    async def retrieve(query, num_tokens, document_tokens):
        found, total = {}, 0
        while total < num_tokens:
            index = rng.choices(range(len(corpus)), [sum(passages) for passages in corpus])[0]
            if index in found:
                continue
            passages, size = [], 0
            for number, tokens in enumerate(corpus[index]):
                if size + tokens > document_tokens:
                    break
                size += tokens
                passages.append(Passage(f"{index}:{number:05d}", str(index), 0, 0, tokens, "whale " * tokens))
            found[index] = ContextDocument(str(index), "", passages, 1.0)
            total += size
        return list(found.values())

    return retrieve


def settings():
    config = load_config(
        "laptop",
        [
            "--agent.chunk_tokens", "400", "--agent.document_tokens", "900", "--agent.summary_tokens", "50",
            "--agent.instruction_tokens", "20", "--agent.answer_tokens", "64",
            "--generator.max_model_tokens", "1100", "--corpus.passage_tokens", str(PASSAGE_TOKENS),
            "--dataset.num_long_input_seeds", "60", "--dataset.num_long_output_seeds", "0",
            "--dataset.target_lengths", "[{min_tokens: 2000, max_tokens: 9000}]",
            "--plan.reply_tokens", "{summary: 30, instruction: 12, answer: 7}",
        ],
    )  # fmt: skip
    assert isinstance(config, Config)
    return config


def test_calls_are_those_that_the_workflow_makes():
    rng = random.Random(3)
    config = settings()
    documents = draw_corpus(rng)
    generate = CountingGenerator()
    workflow = Workflow(config.agent, config.generator, WordTokenizer())
    for index in range(60):
        seed = Seed(
            f"s{index}", index, "long_input", "trace", "d", "d:0", SUBJECT,
            draw_length(config.dataset.target_lengths, rng), index,
        )  # fmt: skip
        outcome = asyncio.run(workflow(seed, generate, retrieve_from(documents, rng)))
        assert isinstance(outcome, Draft)
    planned = {each.step: each for each in plan_calls(config, corpus_of(documents))}
    for step, calls in generate.num_calls.items():
        print(f"{step}: {calls} calls, planned {planned[step].num_calls:.0f}")
    assert set(planned) == set(generate.num_calls)
    # Several rounds of summaries: the notes do not fit the generator's context.
    assert generate.num_calls["summary"] > 60 * 12
    for step, calls in generate.num_calls.items():
        assert planned[step].num_calls == pytest.approx(calls, rel=0.1)
    # In words the fixed text is shorter than in tokens: only the excerpts are compared.
    excerpts = generate.prompt_words["summary"] / generate.num_calls["summary"]
    assert planned["summary"].prompt_per_call == pytest.approx(excerpts, rel=0.25)


def test_scores_of_answers_and_a_judge_are_steps_of_their_own():
    config = settings()
    corpus = corpus_of(draw_corpus(random.Random(3)))
    without = {each.step for each in plan_calls(config, corpus)}
    verification = VerificationConfig(signals=True, max_left_out=2, judge=config.generator)
    agent = config.agent.model_copy(update={"verification": verification})
    planned = {each.step: each for each in plan_calls(config.model_copy(update={"agent": agent}), corpus)}
    assert set(planned) - without == {"verification", "judge"}
    scores = planned["verification"]
    assert scores.num_calls == pytest.approx(60 * 5), "without, with, beside, and without each of two"
    assert scores.output_tokens == 0
    assert scores.prompt_per_call < 7 + 12 + 2048 + 100
    assert planned["judge"].num_calls == pytest.approx(60)


def test_documents_fill_the_target_and_the_last_one_is_taken_whole():
    config = settings()
    rng = random.Random(5)
    documents = draw_corpus(rng)
    corpus = corpus_of(documents)
    found = [asyncio.run(retrieve_from(documents, rng)("", 5000, 900)) for _ in range(200)]
    planned = retrieved(config, corpus, 5000)
    tokens = sum(document.num_tokens for drawn in found for document in drawn) / len(found)
    assert planned.num_tokens == pytest.approx(tokens, rel=0.03)
    assert planned.num_documents == pytest.approx(sum(map(len, found)) / len(found), rel=0.05)


def test_a_target_beyond_the_corpus_takes_all_of_it():
    corpus = CorpusPlan(10, 1000, 25, of_counts([100] * 10), "the test")
    planned = retrieved(settings(), corpus, 50_000)
    assert planned.num_tokens == 1000
    assert planned.num_documents == 10


def test_structure_tasks_take_no_call_and_count_as_contexts():
    seeds = [
        *("--dataset.num_long_input_seeds", "0", "--dataset.num_long_output_seeds", "0"),
        *("--dataset.num_structure_seeds", "10"),
        *("--dataset.target_lengths", "[{min_tokens: 4000, max_tokens: 8000}]"),
    ]
    config = load_config("laptop", seeds)
    corpus = CorpusPlan(10, 100_000, 250, of_counts([10_000] * 10), "the test")
    assert plan_calls(config, corpus) == []
    assert dataset_tokens(config, example_lengths(config, corpus)) == pytest.approx(10 * 6000, rel=0.01)
    plan = make_plan(config)
    assert any("asks no generator" in note for note in plan.notes)
    step = next(step for step in plan.steps if step.name == "synthesize")
    assert (step.num_calls, step.prompt_tokens) == (0, 0)
    assert "10 examples" in render_plan(plan)


REAL_RUN = {
    "instruction": (55, 19_207, 1_875),
    "summary": (132, 140_592, 11_193),
    "selection": (18, 11_727, 200),
    "answer": (34, 7_627, 3_321),
    "backtranslation": (15, 53_846, 718),
}
"""Calls, prompt and output tokens of `longstrap synthesize --config laptop.yaml` with 20 long inputs and 6 long outputs
of 4,000 to 8,000 tokens, from its statistics.json; SmolLM2-135M-Instruct, the whole sample of 208 documents."""
LIVED = {"instruction": 20, "summary": 18, "selection": 18, "answer": 18, "backtranslation": 6}
"""Of those rows that came as far as the step."""


def test_a_real_runs_calls_are_met():
    config = load_config(
        "laptop",
        [
            "--corpus.sources.0.path", "bundled:public_domain_sample",
            "--dataset.num_long_input_seeds", "20", "--dataset.num_long_output_seeds", "6",
            "--dataset.num_structure_seeds", "0",
            "--dataset.target_lengths", "[{min_tokens: 4000, max_tokens: 8000}]",
            "--dataset.long_output_tokens", "{min_tokens: 4000, max_tokens: 8000}",
            "--run_dir", "/nowhere", "--plan.reply_tokens",
            "{instruction: 34, summary: 85, selection: 11, answer: 98, backtranslation: 48}",
        ],
    )  # fmt: skip
    assert isinstance(config, Config)
    corpus = plan_corpus(config)
    assert corpus.num_tokens == pytest.approx(1_079_651, rel=0.1)
    assert corpus.num_passages == pytest.approx(4_772, rel=0.1)
    planned = {each.step: each for each in plan_calls(config, corpus)}
    for step, (calls, prompts, outputs) in REAL_RUN.items():
        rows = 6 if step == "backtranslation" else 20
        # Per row that lived so long and per attempt: a model this small is often asked again.
        asked = planned[step].num_calls * LIVED[step] / rows
        print(
            f"{step}: {calls} calls, planned {asked:.1f} without repeats; in a call {prompts / calls:.0f}, planned "
            f"{planned[step].prompt_per_call:.0f}; out {outputs / calls:.0f}, {planned[step].output_per_call:.0f}"
        )
    summaries = planned["summary"].num_calls * LIVED["summary"] / 20
    assert summaries == pytest.approx(REAL_RUN["summary"][0], rel=0.1)
    for step, tolerance in {"instruction": 0.1, "summary": 0.1, "selection": 0.15}.items():
        calls, prompts, _ = REAL_RUN[step]
        assert planned[step].prompt_per_call == pytest.approx(prompts / calls, rel=tolerance)
    assert planned["backtranslation"].num_calls == 6


def test_every_attempt_is_counted():
    corpus = CorpusPlan(10, 100_000, 2500, of_counts([10_000] * 10), "the test")
    once = plan_calls(settings(), corpus)
    config = settings()
    again = config.model_copy(update={"plan": config.plan.model_copy(update={"attempts_per_call": 1.5})})
    for one, other in zip(once, plan_calls(again, corpus), strict=True):
        assert other.num_calls == pytest.approx(1.5 * one.num_calls)
        assert other.output_per_call == pytest.approx(one.output_per_call)


def test_thoughts_are_planned_as_output():
    corpus = corpus_of(draw_corpus(random.Random(3)))
    config = settings()
    generator = config.generator.model_copy(update={"thinking_tokens": 300, "max_model_tokens": 1400})
    thinking = plan_calls(config.model_copy(update={"generator": generator}), corpus)
    for plain, each in zip(plan_calls(config, corpus), thinking, strict=True):
        added = each.output_per_call - plain.output_per_call
        assert added == pytest.approx(300 * config.plan.reply_share)
