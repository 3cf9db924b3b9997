"""The agent actor with doubles for what is on Ray."""

import asyncio
import json
from collections import Counter
from dataclasses import asdict
from types import SimpleNamespace

import pyarrow as pa
import pytest

from app.agent.llm import LlmReply
from app.agent.words import UNWEIGHTED
from app.config import VerificationConfig
from app.dataset import agent_actor
from app.dataset.agent_actor import AgentActor
from app.schema import SEED_SCHEMA, Seed
from app.storage import Folder
from tests.agent.test_verification import WordScorer
from tests.dataset.example_rows import make_config
from tests.dataset.structure.test_structure_tasks import TARGET_TOKENS, make_document, make_seed
from tests.dataset.test_assembly import make_byte_level
from tests.integration.endpoint_double import choose_notes


class Pool:
    """Answers each query with the same documents."""

    def __init__(self, documents):
        self.documents, self.queries = documents, []

    async def retrieve(self, query, key):
        self.queries.append(query)
        return self.documents


def settings(model, num_long_inputs):
    config = make_config()
    dataset = config.dataset.model_copy(
        update={
            "num_long_input_seeds": num_long_inputs,
            "num_long_output_seeds": 0,
            "num_structure_seeds": 2,
            "tokenizer": model,
        }
    )
    return config.model_copy(update={"dataset": dataset})


@pytest.fixture
def generators_made(monkeypatch):
    made = []
    monkeypatch.setattr(agent_actor, "make_generator", lambda config: made.append(config) or "generator")
    return made


def test_structure_seeds_become_examples_without_a_generator(tmp_path, generators_made):
    tokenizer = make_byte_level(tmp_path / "model")
    documents = [make_document(index, tokenizer) for index in range(9)]
    pool = Pool(documents)
    told = []
    progress = SimpleNamespace(add=SimpleNamespace(remote=told.append))
    calls = Folder(str(tmp_path / "calls"))
    actor = AgentActor(settings(tokenizer.model, 0), calls, pool, progress, UNWEIGHTED)
    seeds = [make_seed("recall", 0), make_seed("mentions", 1)]
    batch = pa.Table.from_pylist([asdict(seed) for seed in seeds], schema=SEED_SCHEMA)

    async def collect():
        return [row async for table in actor(batch) for row in table.to_pylist()]

    rows = sorted(asyncio.run(collect()), key=lambda row: row["seed_index"])
    assert [row["reject_reason"] for row in rows] == [None, None]
    assert [row["task"] for row in rows] == ["recall", "mentions"]
    assert [row["calls"] for row in rows] == [[], []]
    assert all(row["num_tokens"] == TARGET_TOKENS and row["task_data"] for row in rows)
    assert {outcome for delta in told for outcome in delta.outcomes} == {seed.seed_id for seed in seeds}
    assert generators_made == []
    assert calls.list_names(".json") == []


def test_a_generator_is_made_where_some_seed_needs_it(tmp_path, generators_made):
    tokenizer = make_byte_level(tmp_path / "model")
    config = settings(tokenizer.model, 1)
    progress = SimpleNamespace(add=SimpleNamespace(remote=lambda delta: None))
    AgentActor(config, Folder(str(tmp_path / "calls")), Pool([]), progress, UNWEIGHTED)
    assert generators_made == [config.generator]


class Engine:
    """Answers each step of the workflow, and scores by shared words; keeps what it was asked."""

    def __init__(self):
        self.asked = Counter()
        self.scorer = WordScorer()

    async def __call__(self, call):
        self.asked[call.step] += 1
        replies = {
            "instruction": "Trace how Ada Brink bought the mine of Karlsund.",
            "summary": " ".join(call.messages[-1]["content"].partition("Excerpt:")[2].split()[:12]) + ".",
            "selection": json.dumps({"notes": choose_notes(call.messages[-1]["content"])}),
            "answer": "Brink bought the mine when the river had flooded the valley and the harbour.",
        }
        return LlmReply(replies[call.step], "stop", num_prompt_tokens=10, num_output_tokens=5)

    async def score(self, call):
        self.asked[call.step] += 1
        return await self.scorer.score(call)


def test_long_inputs_are_verified_before_they_are_assembled_and_nothing_is_asked_twice(tmp_path, monkeypatch):
    tokenizer = make_byte_level(tmp_path / "model")
    config = settings(tokenizer.model, 1)
    agent = config.agent.model_copy(update={"verification": VerificationConfig(signals=True)})
    generator = config.generator.model_copy(update={"tokenizer": tokenizer.model})
    config = config.model_copy(update={"agent": agent, "generator": generator})
    text = "Ada Brink bought the mine of Karlsund in 1884, below the old bridge."
    seed = Seed("long-input-0", 0, "long_input", "trace", "d0", "d0:00000", text, TARGET_TOKENS, 3)
    batch = pa.Table.from_pylist([asdict(seed)], schema=SEED_SCHEMA)
    pool = Pool([make_document(index, tokenizer) for index in range(9)])

    def run():
        engine = Engine()
        monkeypatch.setattr(agent_actor, "make_generator", lambda config: engine)
        progress = SimpleNamespace(add=SimpleNamespace(remote=lambda delta: None))
        actor = AgentActor(config, Folder(str(tmp_path / "calls")), pool, progress, UNWEIGHTED)

        async def collect():
            return [row async for table in actor(batch) for row in table.to_pylist()]

        return asyncio.run(collect())[0], engine.asked

    row, asked = run()
    assert row["reject_reason"] is None, row["reject_detail"]
    measured = row["verification"]
    assert measured["not_verified"] is None
    assert measured["closed_book"] < 0 < measured["evidence_gain"]
    evidence = {name.partition(":")[0] for name in row["evidence_ids"]}
    assert {each["document_id"] for each in measured["necessity"]} <= evidence
    assert asked["verification"] == next(
        each["num_calls"] for each in row["calls"] if each["step"] == "verification"
    )
    again, asked_again = run()
    assert again == row
    assert not asked_again
