"""The agent actor with doubles for what is on Ray: structure seeds take no call and start no generator."""

import asyncio
from dataclasses import asdict
from types import SimpleNamespace

import pyarrow as pa
import pytest

from app.agent.words import UNWEIGHTED
from app.dataset import agent_actor
from app.dataset.agent_actor import AgentActor
from app.schema import SEED_SCHEMA
from app.storage import Folder
from tests.dataset.example_rows import make_config
from tests.dataset.structure.test_structure_tasks import TARGET_TOKENS, make_document, make_seed
from tests.dataset.test_assembly import make_byte_level


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
