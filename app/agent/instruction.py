"""Step 1: write an instruction that needs several documents, or, by back-translation, one for a given document."""

import random

from app.agent.asking import ask
from app.agent.llm import Generator, LlmCall, LlmReply
from app.agent.parsing import parse_instruction
from app.agent.prompts import LONG_OUTPUT_OPENINGS, TASKS, backtranslation_messages, instruction_messages
from app.agent.stated_length import round_words, with_length
from app.agent.words import WordWeights
from app.config import PROMPT_TOKENS, AgentConfig, GeneratorSection
from app.schema import Seed
from app.text.words import count_words
from app.tokens import Tokenizer

_HEAD_SHARE = 0.75


async def write_instruction(
    seed: Seed,
    generate: Generator,
    agent: AgentConfig,
    generator: GeneratorSection,
    weights: WordWeights,
) -> str:
    """A long-input instruction of the seed's task; the seed's passage stands in front for diversity."""
    call = LlmCall(
        step="instruction",
        messages=instruction_messages(seed.text, seed.task),
        opening=_draw_opening(TASKS[seed.task].openings, seed),
        max_output_tokens=agent.instruction_tokens,
        random_seed=seed.random_seed,
    )
    request = f"{call.opening} {TASKS[seed.task].description}"

    def parse(reply: LlmReply) -> str:
        return parse_instruction(reply.text, reply.finish_reason == "length", seed.text, request, weights)

    return await ask(generate, call, parse, generator.max_attempts)


async def translate_back(
    seed: Seed,
    generate: Generator,
    agent: AgentConfig,
    generator: GeneratorSection,
    tokenizer: Tokenizer,
    weights: WordWeights,
) -> str:
    """The writing instruction that the seed's document answers; it states the document's length."""
    num_words = count_words(seed.text)
    shown = _shorten(seed.text, tokenizer, generator.call_tokens - agent.instruction_tokens - PROMPT_TOKENS)
    call = LlmCall(
        step="backtranslation",
        messages=backtranslation_messages(shown, round_words(num_words)),
        opening=_draw_opening(LONG_OUTPUT_OPENINGS, seed),
        max_output_tokens=agent.instruction_tokens,
        random_seed=seed.random_seed,
    )

    def parse(reply: LlmReply) -> str:
        was_cut = reply.finish_reason == "length"
        return with_length(
            parse_instruction(reply.text, was_cut, seed.text, call.opening, weights), num_words
        )

    return await ask(generate, call, parse, generator.max_attempts)


def _draw_opening(openings: tuple[str, ...], seed: Seed) -> str:
    return random.Random(f"{seed.random_seed} opening").choice(openings)


def _shorten(document: str, tokenizer: Tokenizer, max_tokens: int) -> str:
    """The document, or its beginning and its end where the generator cannot read all of it."""
    offsets = tokenizer.offsets(document)
    if len(offsets) <= max_tokens:
        return document
    num_head = int(max_tokens * _HEAD_SHARE)
    num_tail = max_tokens - num_head
    return f"{document[: offsets[num_head][0]]}\n[…]\n{document[offsets[-num_tail][0] :]}"
