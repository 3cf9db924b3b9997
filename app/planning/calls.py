"""The generator's expected calls, estimated from the settings: how many in each step, and their tokens.

A long input of target T, drawn from `dataset.target_lengths` (`app.agent.workflow` has the steps):

documents    N = (T + E[D²] / 2 E[D]) / E[D]: ranked documents are taken until T tokens are there, and the last one is
             taken whole, which adds the mean excess of a renewal process (Wald's identity; Feller, vol. 2, XI.3). D is
             a document's stretch: at most `agent.document_tokens`, of documents met by their passages, so that long
             ones come oftener
summaries    one call a chunk: a stretch has ceil(D / (C - p / 2)) chunks, which hold whole passages of p tokens and at
             most C = `agent.chunk_tokens`; while the notes do not fit the answer's prompt, again one call for each
             C tokens of notes, at most `agent.max_summary_rounds` rounds in all
selection    one call over all notes, where there are several
answer       one call over the chosen notes
verification with `agent.verification.signals`: scores of the answer, which generate nothing: without passages, with the
             evidence (a passage for each chosen chunk), with each of its documents left out, and with distractors;
             and one of the judge, if there is one

A long output takes one call, over as much of its document as the generator reads; a structure task takes none. A reply
has `plan.reply_share` of its step's limit, or `plan.reply_tokens`; all chunks are taken to give a note. Rows that end
early, as rejects do, are counted whole. `plan.attempts_per_call` multiplies all.
"""

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from app.agent.prompts import (
    TASKS,
    answer_messages,
    backtranslation_messages,
    instruction_messages,
    judge_messages,
    passages_messages,
    selection_messages,
    summary_messages,
)
from app.config import PROMPT_TOKENS, Config
from app.planning.corpus import CHARS_PER_TOKEN, CorpusPlan
from app.planning.lengths import Lengths, of_ranges
from app.schema import Message

TEMPLATE_TOKENS = 24
"""Tokens of a chat template around a system and a user message."""
NOTE_TOKENS = 5
"""`Note 12: ` and the line breaks around it."""
JUDGE_REPLY_TOKENS = 14
"""`{"relevance": 4, "correctness": 5}`."""
CHOSEN_SHARE = 0.5
"""Share of the notes that the answer uses. An assumption that affects only the answers' prompts."""


@dataclass(frozen=True)
class StepCalls:
    """All calls of one step of the workflow."""

    step: str
    num_calls: float
    prompt_tokens: float
    """Prompt tokens of all calls together."""
    output_tokens: float
    """Output tokens of all calls together."""

    @property
    def prompt_per_call(self) -> float:
        return self.prompt_tokens / max(self.num_calls, 1e-9)

    @property
    def output_per_call(self) -> float:
        return self.output_tokens / max(self.num_calls, 1e-9)


@dataclass(frozen=True)
class Retrieved:
    """What the retriever returns for one long input."""

    num_documents: float
    num_tokens: float
    num_chunks: float


def plan_calls(config: Config, corpus: CorpusPlan) -> list[StepCalls]:
    """Calls of the whole synthesis, by step, in the order of the workflow."""
    totals: dict[str, tuple[float, float, float]] = defaultdict(lambda: (0.0, 0.0, 0.0))
    attempts = config.plan.attempts_per_call

    def add(step: str, num_calls: float, prompt_tokens: float, output_tokens: float) -> None:
        calls, prompts, outputs = totals[step]
        num_calls *= attempts
        if step != "verification":
            output_tokens += config.plan.reply_share * config.generator.thinking_tokens
        totals[step] = (
            calls + num_calls,
            prompts + num_calls * prompt_tokens,
            outputs + num_calls * output_tokens,
        )

    targets = of_ranges(config.dataset.target_lengths)
    shares = targets.weights / targets.weights.sum()
    for target, share in zip(targets.tokens.tolist(), shares.tolist(), strict=True):
        num_rows = share * config.dataset.num_long_input_seeds
        if num_rows:
            for step, calls, prompt, output in _long_input(config, corpus, target):
                add(step, num_rows * calls, prompt, output)
    if config.dataset.num_long_output_seeds:
        shown = config.generator.call_tokens - config.agent.instruction_tokens - PROMPT_TOKENS
        prompt = (
            _fixed(backtranslation_messages("", 1000))
            + long_output_lengths(config, corpus).at_most(shown).mean
        )
        output = _reply_tokens(config, "backtranslation", config.agent.instruction_tokens)
        add("backtranslation", config.dataset.num_long_output_seeds, prompt, output)
    return [StepCalls(step, *counts) for step, counts in totals.items()]


def retrieved(config: Config, corpus: CorpusPlan, target: float) -> Retrieved:
    """The documents that fill a target of that many tokens."""
    agent, passage = config.agent, corpus.passage_tokens
    # A stretch ends with a passage: where a document is longer than allowed, half of one is missing.
    whole = corpus.lengths.weighted_by_length()
    stretches = Lengths(
        np.where(
            whole.tokens > agent.document_tokens,
            max(agent.document_tokens - passage / 2, passage),
            whole.tokens,
        ),
        whole.weights,
    )
    excess = stretches.mean_of(np.square) / (2 * stretches.mean)
    num_tokens = min(target + excess, most_retrieved(config, corpus))
    num_documents = num_tokens / stretches.mean
    room = max(agent.chunk_tokens - passage / 2, passage)
    chunks = stretches.mean_of(
        lambda tokens: np.where(tokens <= agent.chunk_tokens, 1.0, np.ceil(tokens / room))
    )
    return Retrieved(num_documents, num_tokens, num_documents * chunks)


def most_retrieved(config: Config, corpus: CorpusPlan) -> float:
    """Tokens that all documents together give to one context: no corpus gives more than it has."""
    return corpus.num_tokens * (
        corpus.lengths.at_most(config.agent.document_tokens).mean / corpus.lengths.mean
    )


def long_output_lengths(config: Config, corpus: CorpusPlan) -> Lengths:
    """Documents that may be long outputs; drawn evenly among them."""
    wanted = config.dataset.long_output_tokens
    found = corpus.lengths.between(wanted.min_tokens, wanted.max_tokens)
    return found or of_ranges([wanted])


def _long_input(config: Config, corpus: CorpusPlan, target: float) -> list[tuple[str, float, float, float]]:
    """Step, calls, and prompt and output tokens of each, for one row."""
    agent = config.agent
    task = next(iter(TASKS))
    instruction = _reply_tokens(config, "instruction", agent.instruction_tokens)
    note = _reply_tokens(config, "summary", agent.summary_tokens)
    found = retrieved(config, corpus, target)
    summary_prompt = _fixed(summary_messages("", "")) + instruction
    steps = [
        ("instruction", 1.0, _fixed(instruction_messages("", task)) + corpus.passage_tokens, instruction),
        ("summary", found.num_chunks, summary_prompt + found.num_tokens / found.num_chunks, note),
    ]
    room = config.generator.call_tokens - agent.answer_tokens - agent.instruction_tokens - PROMPT_TOKENS
    num_notes = found.num_chunks
    for _ in range(agent.max_summary_rounds - 1):
        if num_notes * (note + NOTE_TOKENS) <= room:
            break
        per_bundle = max(2.0, (agent.chunk_tokens - note / 2) / note)
        num_bundles = math.ceil(num_notes / per_bundle)
        steps.append(("summary", num_bundles, summary_prompt + num_notes * note / num_bundles, note))
        num_notes = num_bundles
    notes_tokens = num_notes * (note + NOTE_TOKENS)
    if num_notes > 1:
        # JSON: `{"notes": [1, 2]}`.
        selection = _reply_tokens(config, "selection", None, 6 + 3 * CHOSEN_SHARE * num_notes)
        prompt = _fixed(selection_messages("", [], [], min_documents=1)) + instruction + notes_tokens
        steps.append(("selection", 1.0, prompt, selection))
    chosen = notes_tokens * (CHOSEN_SHARE if num_notes > 1 else 1.0)
    prompt = _fixed(answer_messages("", [])) + instruction + chosen
    answer = _reply_tokens(config, "answer", agent.answer_tokens)
    steps.append(("answer", 1.0, prompt, answer))
    # A note of notes rests on the passages of all of them.
    num_evidence = found.num_chunks * (CHOSEN_SHARE if found.num_chunks > 1 else 1.0)
    return steps + _verification(
        config, num_evidence * corpus.passage_tokens, instruction, answer, num_evidence
    )


def _verification(
    config: Config, evidence_tokens: float, instruction: float, answer: float, num_documents: float
) -> list[tuple[str, float, float, float]]:
    """Scores and the judge's call for one row; each chosen chunk is taken for a document of its own."""
    settings = config.agent.verification
    steps: list[tuple[str, float, float, float]] = []
    besides = _fixed(passages_messages("", [])) + instruction + answer
    evidence = min(evidence_tokens, settings.evidence_tokens)
    if settings.signals:
        passage = evidence_tokens / max(num_documents, 1.0)
        distractors = min(settings.num_distractors * passage, settings.evidence_tokens)
        left_out = min(num_documents, settings.max_left_out) if num_documents > 1 else 0.0
        rest = min(evidence_tokens - passage, settings.evidence_tokens)
        num_scores = 2.0 + left_out + bool(settings.num_distractors)
        shown = evidence + distractors + left_out * rest
        steps.append(("verification", num_scores, besides + shown / num_scores, 0.0))
    if settings.judge is not None:
        prompt = _fixed(judge_messages("", [], "")) + instruction + answer + evidence
        steps.append(("judge", 1.0, prompt, float(JUDGE_REPLY_TOKENS)))
    return steps


def _reply_tokens(config: Config, step: str, limit: int | None, otherwise: float = 0.0) -> float:
    if step in config.plan.reply_tokens:
        return float(config.plan.reply_tokens[step])
    return otherwise if limit is None else config.plan.reply_share * limit


def _fixed(messages: tuple[Message, ...]) -> float:
    """Tokens of a prompt without what the row puts into it."""
    return TEMPLATE_TOKENS + sum(len(message["content"]) for message in messages) / CHARS_PER_TOKEN
