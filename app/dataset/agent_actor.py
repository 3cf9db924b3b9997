"""The Ray actor that runs the workflow: many rows at once around one generator."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pyarrow as pa

from app.agent.journal import CallJournal
from app.agent.llm import Engine
from app.agent.prompts import PROMPT_VERSION
from app.agent.words import WordWeights
from app.agent.workflow import TOKENIZER_MARGIN, Retrieve, Workflow
from app.cluster.faults import Kept, sent_to_driver
from app.config import Config, GeneratorConfig
from app.dataset.assembly import assemble
from app.dataset.counting import CountedEngine
from app.dataset.engines import make_generator, make_verifier
from app.dataset.filters import check_draft
from app.dataset.reject_share import LatestRejects
from app.dataset.results import RESULT_SCHEMA, RowCalls, result_row
from app.dataset.structure.making import StructureMaker
from app.progress.actor import ProgressSender
from app.retrieval.actors import RetrieverPool
from app.retrieval.retriever import Query
from app.schema import ContextDocument, Draft, Example, Reject, Seed
from app.storage import Folder
from app.tokens import Tokenizer

logger = logging.getLogger(__name__)


class AgentActor:
    """Makes result rows of seeds. All rows in flight, of all batches, share the generator.

    Args:
        config: The run's settings.
        calls: Folder of the call journals.
        retrievers: The retriever actors.
        progress: The progress actor.
        weights: How much a word tells about a subject in this corpus.
    """

    def __init__(
        self,
        config: Config,
        calls: Folder,
        retrievers: RetrieverPool,
        progress: Any,
        weights: WordWeights,
    ) -> None:
        self._config = config
        self._calls = calls
        self._retrievers = retrievers
        self._sender = ProgressSender(progress)
        # Structure examples need none, and an engine takes minutes to start.
        self._generator = Kept(_maker_of(config.generator)) if config.dataset.num_generator_seeds else None
        self._tokenizer = Tokenizer(config.tokenizer_model, config.tokenizer_revision)
        self._generator_tokenizer = Tokenizer(config.generator_tokenizer, config.generator.revision)
        self._latest_rejects = LatestRejects(config.dataset.max_reject_share, config.dataset.min_judged_rows)
        is_same = self._tokenizer == self._generator_tokenizer
        self._workflow = Workflow(
            config.agent,
            config.generator,
            self._generator_tokenizer,
            weights,
            None if is_same else self._tokenizer,
        )
        verification = config.agent.verification
        self._verifier = make_verifier(config, weights)
        self._judge = None if verification.judge is None else Kept(_maker_of(verification.judge))
        self._structure = StructureMaker(self._tokenizer, config.agent.document_tokens)

    async def __call__(self, batch: pa.Table) -> AsyncIterator[pa.Table]:
        """Seeds (SEED_SCHEMA) → results (RESULT_SCHEMA), each as soon as it is finished."""
        seeds = [Seed(**row) for row in batch.to_pylist()]
        rows = [asyncio.create_task(self._make_row(seed)) for seed in seeds]
        try:
            with sent_to_driver():
                for row in asyncio.as_completed(rows):
                    yield pa.Table.from_pylist([await row], schema=RESULT_SCHEMA)
        finally:
            # One row that fails beyond its own means ends the batch; the others' finished calls are in the journal.
            for row in rows:
                row.cancel()

    async def _make_row(self, seed: Seed) -> dict[str, Any]:
        calls = RowCalls()
        outcome = await (self._make_structure(seed) if seed.kind == "structure" else self._write(seed, calls))
        self._latest_rejects.add(outcome if isinstance(outcome, Reject) else None)
        self._sender.finish_row(seed.seed_id, outcome.reason if isinstance(outcome, Reject) else "")
        return result_row(seed, outcome, calls)

    async def _write(self, seed: Seed, calls: RowCalls) -> Example | Reject:
        """What the generator makes of a seed."""
        journal = CallJournal(self._calls, seed.seed_id, keeps_prompts=self._config.dataset.keep_calls)
        await journal.load()
        engine = CountedEngine(self._running_engine, journal, calls, self._sender.count)
        draft = await self._workflow(seed, engine, self._retrieve_for(seed))
        if isinstance(draft, Reject):
            return draft
        if reject := self._filtered(draft):
            return reject
        if draft.documents:
            if self._config.agent.verification.signals:
                draft = await self._verifier(draft, engine)
            if self._judge is not None:
                judge = CountedEngine(self._judge.get, journal, calls, self._sender.count)
                draft = await self._verifier.judge(draft, judge)
        return await self._assembled(draft)

    def _filtered(self, draft: Draft) -> Reject | None:
        try:
            return check_draft(draft, self._config.dataset.filters)
        except AssertionError as error:
            return _internal_error(draft.seed, error)

    def _running_engine(self) -> Engine:
        assert self._generator is not None, "a call in a dataset that needs none"
        return self._generator.get()

    async def _make_structure(self, seed: Seed) -> Example | Reject:
        """What a program makes of a seed."""
        documents = await self._structure.retrieve(seed, self._retrieve_for(seed))
        try:
            return await asyncio.to_thread(self._structure.make, seed, documents)
        except AssertionError as error:
            return _internal_error(seed, error)

    async def _assembled(self, draft: Draft) -> Example | Reject:
        """The draft as an example of its length, unless its length speaks against it."""
        try:
            # In a thread: a long example takes seconds to measure, in which the other rows' calls would wait.
            return await asyncio.to_thread(
                assemble, draft, self._tokenizer, self._config.generator.model, PROMPT_VERSION
            )
        except AssertionError as error:
            return _internal_error(draft.seed, error)

    def _retrieve_for(self, seed: Seed) -> Retrieve:
        async def retrieve(query: str, num_tokens: int, document_tokens: int) -> list[ContextDocument]:
            if self._tokenizer != self._generator_tokenizer:
                # Passages are counted in the generator's tokens, the target in the trained model's; what is too much is
                # trimmed.
                own, trained = self._generator_tokenizer.count(seed.text), self._tokenizer.count(seed.text)
                num_tokens = int(num_tokens * TOKENIZER_MARGIN * own / max(1, trained))
            return await self._retrievers.retrieve(
                Query(query, num_tokens, document_tokens, anchors=(seed.passage_id,)), key=seed.seed_id
            )

        return retrieve


def _internal_error(seed: Seed, error: AssertionError) -> Reject:
    # A document or a tokenizer that our own rules did not foresee is one row's fault, not the job's.
    logger.exception("seed %s", seed.seed_id)
    return Reject(seed.seed_id, "assembly", "internal error", str(error))


def _maker_of(config: GeneratorConfig) -> Callable[[], Engine]:
    return lambda: make_generator(config)
