"""Step 4: choose the notes that the answer needs, and answer from those only, so that they are its evidence."""

import random

from app.agent.asking import StepFailedError, ask
from app.agent.llm import Generator, LlmCall
from app.agent.parsing import parse_answer, parse_selection, selection_schema
from app.agent.prompts import answer_messages, selection_messages
from app.agent.summarization import Note
from app.config import AgentConfig, GeneratorSection


async def select_notes(
    instruction: str,
    notes: list[Note],
    min_documents: int,
    random_seed: int,
    generate: Generator,
    generator: GeneratorSection,
) -> list[Note]:
    """The notes that an instruction needs; the others' passages become distractors.

    The notes are shown in random order: in that of the retriever's ranks, a model that always takes the first would
    take the best match alone.

    Raises:
        StepFailedError: The notes rest on fewer than `min_documents` documents, or the choice does in every attempt.
    """
    documents = {name: number for number, name in enumerate(_documents_of(notes), 1)}
    if len(documents) < min_documents:
        raise StepFailedError(
            "selection", "notes of too few documents", f"{len(documents)}, and {min_documents} are needed"
        )
    if len(notes) == 1:
        return notes
    shown = random.Random(f"{random_seed} notes").sample(notes, len(notes))
    sources = [note.document_ids for note in shown]
    call = LlmCall(
        step="selection",
        messages=selection_messages(
            instruction,
            [note.text for note in shown],
            [sorted(documents[name] for name in names) for names in sources],
            min_documents,
        ),
        max_output_tokens=16 + 6 * len(notes),
        random_seed=random_seed,
        json_schema=selection_schema(sources, min_documents),
    )
    chosen = await ask(
        generate,
        call,
        lambda reply: parse_selection(reply.text, sources, min_documents),
        generator.max_attempts,
    )
    return [shown[position] for position in chosen]


def _documents_of(notes: list[Note]) -> list[str]:
    return sorted({name for note in notes for name in note.document_ids})


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
