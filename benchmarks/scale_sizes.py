"""What measured slopes and a recipe's plan say of a run: costs at a size, and the sizes at which something ends."""

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from app.config import Config, DedupConfig
from app.corpus.repeats import DOCUMENTS_PER_TASK, plan_edge_tasks
from app.corpus.steps import PASSAGE_GROUP_ROWS
from app.planning.calls import long_output_lengths
from app.planning.corpus import plan_corpus
from app.planning.data import dataset_tokens
from app.planning.lengths import of_ranges
from app.planning.plan import make_plan
from app.planning.steps import Plan, PlannedStep
from app.quantities import GIB
from app.recipe import load_config
from app.retrieval.passages import NUM_CACHED_FOOTERS
from benchmarks.scale import RESULT, read_slopes
from benchmarks.scale_corpus import SHARES
from benchmarks.scale_index import num_lists
from benchmarks.scale_passages import NUM_ROWS_READ
from benchmarks.scale_slopes import Slope, Slopes

RECIPE = "llama3_8b_1m"
DOCUMENTS = 10_000_000
PASSAGES = 1_000_000_000
DATASET_TOKENS = 4.6e9
"""The paper's long data."""
MEMORY_SHARE = 0.8
"""Of a machine's memory that one thing may take."""


def num_hash_columns() -> int:
    """Of a document's sketch, in each of which repeats are searched for."""
    return len(plan_edge_tasks(1, DedupConfig()))


@dataclass(frozen=True)
class RunSize:
    """A run that is planned."""

    name: str
    num_documents: int
    num_passages: int
    config: Config
    plan: Plan

    def step(self, name: str) -> PlannedStep:
        """One of the plan's."""
        return next(step for step in self.plan.steps if step.name == name)


class Measured:
    """The slopes of a result file."""

    def __init__(self, path: Path = RESULT) -> None:
        self.result: dict[str, Any] = json.loads(path.read_text("utf-8"))
        self.slopes: dict[str, Slopes] = read_slopes(self.result["measured"])

    def slope(self, name: str) -> Slope:
        """By `group.name`."""
        group, _, quantity = name.rpartition(".")
        return self.slopes[group][quantity]

    def at(self, name: str, size: float) -> float:
        """At a size."""
        return self.slope(name).at(size)

    def per_unit(self, name: str) -> float:
        """Of one more."""
        return self.slope(name).per_unit

    def most(self, name: str, limit: float) -> float:
        """Size at which a quantity that grows by a line reaches a limit."""
        found = self.slope(name)
        assert found.law == "line"
        return found.sizes[-1] + (limit - found.values[-1]) / found.per_unit

    def query_sec(self, kind: str, num_vectors: float) -> float:
        """CPU seconds of one search, at the recall of the measured ones.

        An inverted file is told by the vectors of the lists that a query visits.
        """
        if kind == "Flat":
            return self.at("Flat.query", num_vectors)
        measured, lists = self.slope(f"{kind}.query"), self.slope(f"{kind}.nprobe")
        visited = [
            vectors * nprobe / num_lists(vectors)
            for vectors, nprobe in zip(lists.sizes, lists.values, strict=True)
        ]
        by_visited = Slope("vectors visited", "sec", tuple(visited), measured.values)
        return by_visited.at(num_vectors * self.nprobe(kind, num_vectors) / num_lists(num_vectors))

    def nprobe(self, kind: str, num_vectors: float) -> float:
        """Lists that a query visits for the recall of the measured ones."""
        return self.at(f"{kind}.nprobe", num_vectors)

    def repeats_sec(self, num_documents: float, documents_per_shard: int) -> float:
        """CPU seconds of the search for repeats, all tasks together.

        Each task reads its column of all sketches, and looks at its share of what it has read.
        """
        num_shares = math.ceil(num_documents / DOCUMENTS_PER_TASK)
        whole = self.per_unit("repeats.one_column")
        read = max(0.0, (SHARES * self.per_unit("repeats.eighth_of_column") - whole) / (SHARES - 1))
        files = self.per_unit("repeats.column_of_files") * num_documents / documents_per_shard
        return num_hash_columns() * (
            num_shares * (read * num_documents + files) + (whole - read) * num_documents
        )

    def value(self, name: str, size: float) -> float:
        """What was measured at one of the sizes."""
        found = self.slope(name)
        return found.values[found.sizes.index(size)]

    def scattered_sec(self, num_passages: float, passages_per_part: float) -> float:
        """CPU seconds to read a context's passages, each out of a row group that nobody has read before.

        In a corpus of more parts than a retriever remembers footers, it reads some of these, too.
        """
        one = self.value("passages.one_of_group", PASSAGE_GROUP_ROWS)
        footer = self.value("passages.first_of_part", PASSAGE_GROUP_ROWS) - one
        unknown = max(0.0, 1 - NUM_CACHED_FOOTERS * passages_per_part / num_passages)
        return NUM_ROWS_READ * (one + unknown * max(footer, 0.0))


@dataclass(frozen=True)
class Runs:
    """The runs that the page speaks of."""

    config: Config

    @classmethod
    def of_recipe(cls) -> "Runs":
        config = load_config(RECIPE)
        assert isinstance(config, Config)
        return cls(config)

    @cached_property
    def paper(self) -> RunSize:
        """Ten million documents like those of the recipe."""
        return self._run("10M documents", DOCUMENTS, "IVF16384,PQ128")

    @cached_property
    def billion(self) -> RunSize:
        """As many of them as make a billion passages."""
        per_document = self.paper.num_passages / self.paper.num_documents
        return self._run("1B passages", round(PASSAGES / per_document), "IVF131072,PQ128")

    def _run(self, name: str, num_documents: int, factory: str) -> RunSize:
        plan_config = self.config.plan
        assert plan_config.num_corpus_documents
        assert plan_config.num_corpus_tokens
        per_document = plan_config.num_corpus_tokens / plan_config.num_corpus_documents
        overrides = ["--plan.num_corpus_documents", str(num_documents)]
        overrides += ["--plan.num_corpus_tokens", str(round(num_documents * per_document))]
        overrides += ["--retrieval.index_factory", factory]
        config = load_config(RECIPE, overrides)
        assert isinstance(config, Config)
        return RunSize(name, num_documents, plan_corpus(config).num_passages, config, make_plan(config))

    @property
    def documents_per_shard(self) -> int:
        return self.config.corpus.documents_per_shard

    @property
    def stage_tokens(self) -> list[int]:
        """Of each stage of the training."""
        assert self.config.train is not None
        return [stage.total_steps * stage.batch_tokens for stage in self.config.train.stages]

    @property
    def num_examples(self) -> int:
        dataset = self.config.dataset
        return dataset.num_long_input_seeds + dataset.num_long_output_seeds

    @cached_property
    def dataset_tokens(self) -> float:
        """Of the recipe's examples."""
        corpus = plan_corpus(self.config)
        lengths = {
            "long_input": of_ranges(self.config.dataset.target_lengths),
            "long_output": long_output_lengths(self.config, corpus),
        }
        return dataset_tokens(self.config, lengths)

    @property
    def num_calls(self) -> float:
        return self.paper.step("synthesize").num_calls

    @property
    def queries_per_sec(self) -> float:
        """That the recipe's engines ask for: one a seed."""
        seconds = self.paper.step("synthesize").seconds
        assert seconds
        return self.num_examples / seconds

    @property
    def engine_sec(self) -> float:
        """Of one engine for a mean example."""
        seconds = self.paper.step("synthesize").seconds
        assert seconds
        return self.config.pipeline.max_actors * seconds / self.num_examples

    @property
    def engine_days(self) -> float:
        """Of one engine for as many tokens as the paper's long data has."""
        examples = DATASET_TOKENS / self.dataset_tokens * self.num_examples
        return examples * self.engine_sec / 86_400

    def node_bytes(self, node_type: str) -> float:
        """What one thing may take of a machine of a type."""
        return MEMORY_SHARE * GIB * float(getattr(self.config.plan.nodes, node_type).memory_gib)
