"""The LLM calls of a finished synthesis, out of its journal: what the job's rivals are given to do."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from app.config import Config
from app.models.places import resolve_model

STEPS = ("instruction", "summary", "selection", "answer")
"""Of a long-input row, in their order."""

_LEAST_ENGINE_START_SEC = 3.0


@dataclass(frozen=True, eq=False)
class RecordedCall:
    """One call that the job made, and what it took. Each is only equal to itself."""

    seed_id: str
    step: str
    messages: tuple[dict[str, str], ...]
    opening: str
    num_prompt_tokens: int
    num_output_tokens: int
    num_cached_tokens: int
    asked_at_sec: float
    answered_at_sec: float


@dataclass(frozen=True)
class Work:
    """How much was generated, and in which time."""

    num_output_tokens: int
    sec: float

    @property
    def tokens_per_sec(self) -> float:
        return self.num_output_tokens / self.sec


def read_config(run_dir: Path) -> Config:
    """The settings that a run was made with."""
    return Config.model_validate(json.loads((run_dir / "config.json").read_text("utf-8"))["config"])


def read_calls(run_dir: Path) -> list[RecordedCall]:
    """All calls of a run that kept its journal, in the order in which they were asked."""
    records = [
        (path.parent.name, json.loads(path.read_text("utf-8")))
        for path in (run_dir / "dataset" / "_calls").glob("*/*.json")
    ]
    calls = [
        RecordedCall(
            seed_id=seed_id,
            step=record["call"]["step"],
            messages=tuple(record["call"]["messages"]),
            opening=record["call"]["opening"],
            num_prompt_tokens=record["reply"]["num_prompt_tokens"],
            num_output_tokens=record["reply"]["num_output_tokens"],
            num_cached_tokens=record["reply"]["num_cached_tokens"],
            asked_at_sec=record["asked_at_sec"],
            answered_at_sec=record["answered_at_sec"],
        )
        for seed_id, record in records
    ]
    assert {call.step for call in calls} <= set(STEPS), "the rivals know the steps of long inputs only"
    return sorted(calls, key=lambda call: call.asked_at_sec)


def engine_ready_at(calls: Sequence[RecordedCall]) -> float:
    """When the job's engine was up: it starts with the first call, and no variant's start counts.

    The start blocks the actor's event loop, so the first call is followed by a silence that ends with the second one.
    Where there is no silence as long as an engine takes to start, the first call counts as the moment, which can
    only make the job look slower.
    """
    first_answer = min(call.answered_at_sec for call in calls)
    asked = sorted(call.asked_at_sec for call in calls if call.asked_at_sec < first_answer)
    silences = [(after - before, after) for before, after in pairwise(asked)]
    longest_sec, end = max(silences, default=(0.0, asked[0]))
    return end if longest_sec >= _LEAST_ENGINE_START_SEC else asked[0]


def work_of_job(calls: Sequence[RecordedCall]) -> Work:
    """What the job generated between its engine's start and the last answer."""
    last_answer = max(call.answered_at_sec for call in calls)
    return Work(sum(call.num_output_tokens for call in calls), last_answer - engine_ready_at(calls))


def prefix_cache_share(calls: Sequence[RecordedCall]) -> float:
    """Share of the prompt tokens that the engine's prefix cache served."""
    return sum(call.num_cached_tokens for call in calls) / sum(call.num_prompt_tokens for call in calls)


def group_rows(calls: Iterable[RecordedCall]) -> list[list[RecordedCall]]:
    """Calls row by row; each row's in their order."""
    rows: dict[str, list[RecordedCall]] = defaultdict(list)
    for call in calls:
        rows[call.seed_id].append(call)
    return [rows[seed_id] for seed_id in sorted(rows)]


def group_chains(row: Sequence[RecordedCall]) -> list[list[list[RecordedCall]]]:
    """A row's calls as its workflow asked them: steps after each other, of each step the chains side by side.

    A chain is a call and its retries: the same messages, asked again after an unusable reply.
    """
    steps = []
    for step in STEPS:
        chains: dict[tuple[str, ...], list[RecordedCall]] = defaultdict(list)
        for call in row:
            if call.step == step:
                chains[tuple(message["content"] for message in call.messages)].append(call)
        if chains:
            steps.append(list(chains.values()))
    return steps


def tokenize_prompts(calls: Sequence[RecordedCall], config: Config) -> list[list[int]]:
    """The very prompts that the job's engine got, one a call."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(resolve_model(config.generator.model))
    prompts: list[list[int]] = []
    for call in calls:
        text = tokenizer.apply_chat_template(list(call.messages), add_generation_prompt=True, tokenize=False)
        prompts.append(tokenizer.encode(text + call.opening, add_special_tokens=False))
        assert len(prompts[-1]) == call.num_prompt_tokens, "the job's prompt was another one"
    return prompts


def sampling_of(config: Config, call: RecordedCall) -> dict[str, Any]:
    """`vllm.SamplingParams` that sample as the job did and give exactly as many tokens as the call recorded.

    End tokens are ignored rather than forbidden, as forbidding would cost the engine work; there is no grammar.
    """
    sampling = config.generator.sampling
    return {
        "max_tokens": call.num_output_tokens,
        "ignore_eos": True,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "repetition_penalty": sampling.repetition_penalty,
    }
