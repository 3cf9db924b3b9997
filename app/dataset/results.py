"""Result rows: the example or the reject that the pipeline makes of each seed."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from app.agent.llm import LlmReply, Score
from app.schema import EXAMPLE_SCHEMA, Example, Reject, Seed, Verification

CALLS_TYPE = pa.list_(
    pa.struct(
        [
            ("step", pa.string()),
            ("num_calls", pa.int64()),
            ("num_prompt_tokens", pa.int64()),
            ("num_output_tokens", pa.int64()),
            ("num_cached_tokens", pa.int64()),
        ]
    )
)

RESULT_SCHEMA = pa.schema(
    [
        ("seed_id", pa.string()),
        ("seed_index", pa.int64()),
        *EXAMPLE_SCHEMA,
        ("reject_step", pa.string()),
        ("reject_reason", pa.string()),
        ("reject_detail", pa.large_string()),
        ("seed_passage", pa.string()),
        ("calls", CALLS_TYPE),
    ]
)
"""An example's columns are null in a reject's row, and the other way round."""


@dataclass
class StepCalls:
    """Calls of one step in one row; replayed ones count too: the row was made of them."""

    num_calls: int = 0
    num_prompt_tokens: int = 0
    num_output_tokens: int = 0
    num_cached_tokens: int = 0

    def add(self, reply: LlmReply | Score) -> None:
        self.num_calls += 1
        self.num_prompt_tokens += reply.num_prompt_tokens
        self.num_output_tokens += reply.num_output_tokens
        self.num_cached_tokens += reply.num_cached_tokens


@dataclass
class RowCalls:
    """Calls of one row by step."""

    steps: dict[str, StepCalls] = field(default_factory=dict)

    def add(self, step: str, reply: LlmReply | Score) -> None:
        self.steps.setdefault(step, StepCalls()).add(reply)

    def to_list(self) -> list[dict[str, Any]]:
        return [{"step": step} | asdict(calls) for step, calls in sorted(self.steps.items())]


def result_row(seed: Seed, outcome: Example | Reject, calls: RowCalls) -> dict[str, Any]:
    """One row of RESULT_SCHEMA."""
    row: dict[str, Any] = dict.fromkeys(RESULT_SCHEMA.names)
    row |= {"seed_id": seed.seed_id, "seed_index": seed.seed_index, "calls": calls.to_list()}
    row |= {"kind": seed.kind, "task": seed.task}
    if isinstance(outcome, Reject):
        row |= {
            "reject_step": outcome.step,
            "reject_reason": outcome.reason,
            "reject_detail": outcome.detail,
        }
    else:
        row |= example_row(outcome)
        row["seed_passage"] = _place_of_seed_passage(seed, outcome)
    return row


def _place_of_seed_passage(seed: Seed, example: Example) -> str | None:
    """The part of the instruction's own passage in the context: `evidence`, `distractor`, or `absent`."""
    if seed.kind != "long_input":
        return None
    if seed.passage_id in {each.passage_id for each in example.evidence}:
        return "evidence"
    return "distractor" if seed.text in example.messages[0]["content"] else "absent"


def example_row(example: Example) -> dict[str, Any]:
    """One row of EXAMPLE_SCHEMA: the example with its evidence as three columns and its task data as JSON."""
    row = asdict(example)
    evidence = row.pop("evidence")
    row["evidence_ids"] = [each["passage_id"] for each in evidence]
    row["evidence_depths"] = [each["depth"] for each in evidence]
    row["evidence_spans"] = [[each["start_char"], each["end_char"]] for each in evidence]
    if example.task_data is not None:
        row["task_data"] = json.dumps(row["task_data"], ensure_ascii=False)
    row["verification"] = verification_row(example.verification)
    return row


def verification_row(verification: Verification | None) -> dict[str, Any] | None:
    """A value of VERIFICATION_TYPE."""
    if verification is None:
        return None
    drops = [{"document_id": name, "drop": drop} for name, drop in verification.necessity.items()]
    return asdict(verification) | {"necessity": drops}


def reject_of(row: Mapping[str, Any]) -> Reject | None:
    """The reject in a result row, if it is one."""
    if row["reject_reason"] is None:
        return None
    return Reject(row["seed_id"], row["reject_step"], row["reject_reason"], row["reject_detail"] or "")
