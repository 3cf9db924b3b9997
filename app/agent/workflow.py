"""The workflow: `(seed, generate, retrieve)` → draft or reject, in plain async Python."""

from dataclasses import dataclass
from typing import Protocol

from app.agent.answer import select_notes, write_answer
from app.agent.asking import StepFailedError
from app.agent.instruction import translate_back, write_instruction
from app.agent.llm import Generator
from app.agent.prompts import TASKS
from app.agent.summarization import summarize
from app.agent.words import UNWEIGHTED, WordWeights
from app.config import PROMPT_TOKENS, AgentConfig, GeneratorSection
from app.schema import ContextDocument, Draft, Reject, Seed
from app.tokens import Tokenizer

HEADER_TOKENS = 24
"""At most, of a document's header in the context beside its title, with the line before it."""
TOKENIZER_MARGIN = 1.1
"""Two tokenizers' ratio on one passage is not their ratio on all."""


class Retrieve(Protocol):
    """Finds documents for a query."""

    async def __call__(self, query: str, num_tokens: int, document_tokens: int) -> list[ContextDocument]:
        """Ranked documents, each once and of at most `document_tokens`, of `num_tokens` tokens together or more."""
        ...


@dataclass(frozen=True)
class Workflow:
    """The paper's four steps for long inputs, and back-translation for long outputs (arXiv 2412.18860, section 3)."""

    agent: AgentConfig
    generator: GeneratorSection
    tokenizer: Tokenizer
    """The generator's: it measures what goes into the generator's calls."""
    weights: WordWeights = UNWEIGHTED
    """How much a word tells about a subject, by the corpus's own counts."""
    trained_tokenizer: Tokenizer | None = None
    """The trained model's, which targets are counted with; None: it is the generator's."""

    async def __call__(self, seed: Seed, generate: Generator, retrieve: Retrieve) -> Draft | Reject:
        """Make what a seed asks for. A step that gives up becomes a reject with the step's name and reason."""
        try:
            if seed.kind == "long_output":
                return await self._long_output(seed, generate)
            return await self._long_input(seed, generate, retrieve)
        except StepFailedError as failure:
            return Reject(seed.seed_id, failure.step, failure.reason, failure.detail)

    async def _long_input(self, seed: Seed, generate: Generator, retrieve: Retrieve) -> Draft:
        agent, generator = self.agent, self.generator
        instruction = await write_instruction(seed, generate, agent, generator, self.weights)
        documents = await retrieve(instruction, seed.target_tokens, agent.document_tokens)
        self._check_documents_fill(seed, instruction, documents)
        notes = await summarize(
            instruction,
            documents,
            seed.random_seed,
            generate,
            agent,
            generator,
            self.tokenizer,
            max_notes_tokens=generator.call_tokens
            - agent.answer_tokens
            - agent.instruction_tokens
            - PROMPT_TOKENS,
            weights=self.weights,
        )
        min_documents = TASKS[seed.task].min_documents
        chosen = await select_notes(instruction, notes, min_documents, seed.random_seed, generate, generator)
        answer = await write_answer(instruction, chosen, seed.random_seed, generate, agent, generator)
        evidence_ids = list(dict.fromkeys(name for note in chosen for name in note.passage_ids))
        return Draft(seed, instruction, answer, documents, evidence_ids)

    def _check_documents_fill(self, seed: Seed, instruction: str, documents: list[ContextDocument]) -> None:
        """Give up before summaries are paid for if even the longest answer would not fill the target."""
        wanted_tokens = self.own_tokens(seed)
        rest = [instruction, *(document.title for document in documents)]
        most_tokens = (
            sum(document.num_tokens for document in documents)
            + sum(self.tokenizer.count_batch(rest))
            + HEADER_TOKENS * len(documents)
            + self.agent.answer_tokens
        )
        if most_tokens < wanted_tokens:
            raise StepFailedError(
                "retrieval",
                "documents do not fill target",
                f"{most_tokens} of {wanted_tokens} tokens at most",
            )

    def own_tokens(self, seed: Seed) -> int:
        """The seed's target in the generator's tokens, somewhat too low where those of the trained model differ."""
        if self.trained_tokenizer is None:
            return seed.target_tokens
        own, trained = self.tokenizer.count(seed.text), self.trained_tokenizer.count(seed.text)
        return int(seed.target_tokens * own / max(1, trained) / TOKENIZER_MARGIN)

    async def _long_output(self, seed: Seed, generate: Generator) -> Draft:
        instruction = await translate_back(
            seed, generate, self.agent, self.generator, self.tokenizer, self.weights
        )
        return Draft(seed, instruction, answer=seed.text, documents=[], evidence_ids=[])
