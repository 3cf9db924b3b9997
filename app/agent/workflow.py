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
        notes = await summarize(
            instruction,
            documents,
            seed.random_seed,
            generate,
            agent,
            generator,
            self.tokenizer,
            max_notes_tokens=generator.max_model_tokens
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

    async def _long_output(self, seed: Seed, generate: Generator) -> Draft:
        instruction = await translate_back(
            seed, generate, self.agent, self.generator, self.tokenizer, self.weights
        )
        return Draft(seed, instruction, answer=seed.text, documents=[], evidence_ids=[])
