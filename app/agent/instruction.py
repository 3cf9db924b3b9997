"""Step 1: write an instruction that needs several documents, or, by back-translation, one for a given document."""

import random

from app.agent.asking import ask
from app.agent.llm import Generator, LlmCall, LlmReply
from app.agent.parsing import parse_instruction
from app.agent.prompts import LONG_OUTPUT_OPENINGS, TASKS, backtranslation_messages, instruction_messages
from app.config import PROMPT_TOKENS, AgentConfig, GeneratorSection
from app.schema import Seed
from app.tokens import Tokenizer

_HEAD_SHARE = 0.75


async def write_instruction(
    seed: Seed, generate: Generator, agent: AgentConfig, generator: GeneratorSection
) -> str:
    """A long-input instruction of the seed's task; the seed's passage stands in front for diversity."""
    call = LlmCall(
        step="instruction",
        messages=instruction_messages(seed.text, seed.task),
        opening=_draw_opening(TASKS[seed.task].openings, seed),
        max_output_tokens=agent.instruction_tokens,
        random_seed=seed.random_seed,
    )
    return await _ask(
        seed, call, generate, generator.max_attempts, request=f"{call.opening} {TASKS[seed.task].description}"
    )


async def translate_back(
    seed: Seed, generate: Generator, agent: AgentConfig, generator: GeneratorSection, tokenizer: Tokenizer
) -> str:
    """The writing instruction that the seed's document answers."""
    shown = _shorten(
        seed.text, tokenizer, generator.max_model_tokens - agent.instruction_tokens - PROMPT_TOKENS
    )
    call = LlmCall(
        step="backtranslation",
        messages=backtranslation_messages(shown),
        opening=_draw_opening(LONG_OUTPUT_OPENINGS, seed),
        max_output_tokens=agent.instruction_tokens,
        random_seed=seed.random_seed,
    )
    return await _ask(seed, call, generate, generator.max_attempts, request=call.opening)


def _draw_opening(openings: tuple[str, ...], seed: Seed) -> str:
    return random.Random(f"{seed.random_seed} opening").choice(openings)


async def _ask(seed: Seed, call: LlmCall, generate: Generator, max_attempts: int, request: str) -> str:
    def parse(reply: LlmReply) -> str:
        return parse_instruction(reply.text, reply.finish_reason == "length", seed.text, request)

    return await ask(generate, call, parse, max_attempts)


def _shorten(document: str, tokenizer: Tokenizer, max_tokens: int) -> str:
    """The document, or its beginning and its end where the generator cannot read all of it."""
    offsets = tokenizer.offsets(document)
    if len(offsets) <= max_tokens:
        return document
    num_head = int(max_tokens * _HEAD_SHARE)
    num_tail = max_tokens - num_head
    return f"{document[: offsets[num_head][0]]}\n[…]\n{document[offsets[-num_tail][0] :]}"
