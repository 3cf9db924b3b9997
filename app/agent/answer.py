"""Step 4: choose the notes that the answer needs, and answer from those only, so that they are its evidence."""

from app.agent.asking import ask
from app.agent.llm import Generator, LlmCall
from app.agent.parsing import parse_answer, parse_selection, selection_schema
from app.agent.prompts import answer_messages, selection_messages
from app.agent.summarization import Note
from app.config import AgentConfig, GeneratorSection


async def select_notes(
    instruction: str, notes: list[Note], random_seed: int, generate: Generator, generator: GeneratorSection
) -> list[Note]:
    """The notes that an instruction needs; the others' passages become distractors."""
    if len(notes) == 1:
        return notes
    call = LlmCall(
        step="selection",
        messages=selection_messages(instruction, [note.text for note in notes]),
        max_output_tokens=16 + 6 * len(notes),
        random_seed=random_seed,
        json_schema=selection_schema(len(notes)),
    )
    chosen = await ask(
        generate, call, lambda reply: parse_selection(reply.text, len(notes)), generator.max_attempts
    )
    return [notes[position] for position in chosen]


async def write_answer(
    instruction: str,
    notes: list[Note],
    random_seed: int,
    generate: Generator,
    agent: AgentConfig,
    generator: GeneratorSection,
) -> str:
    """The answer, written from the chosen notes and nothing else."""
    call = LlmCall(
        step="answer",
        messages=answer_messages(instruction, [note.text for note in notes]),
        max_output_tokens=agent.answer_tokens,
        random_seed=random_seed,
    )
    return await ask(
        generate,
        call,
        lambda reply: parse_answer(reply.text, was_cut=reply.finish_reason == "length"),
        generator.max_attempts,
    )
