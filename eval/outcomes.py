"""What became of the requests: answers, cut answers, and replies that are no answer, each counted by its kind."""

from collections.abc import Mapping, Sequence
from typing import Literal

from app.endpoints.replies import FILTERED
from eval.records import Record
from eval.report.contents import Counts

Outcome = Literal["answered", "cut", "empty", "only thought", "filtered", "failed"]


def outcome_of(record: Record) -> Outcome:
    """Kind of what a request got.

    `cut`: the reply has a text, and its limit ended it. Tasks with a tight limit, such as RULER's, score such a text
    like any other. `empty` and `only thought` replies have no text that could be scored.
    """
    reply = record.reply
    if reply is None:
        return "filtered" if (record.error or "").startswith(FILTERED) else "failed"
    if not reply.text.strip():
        return "only thought" if reply.thought.strip() else "empty"
    return "cut" if reply.is_cut else "answered"


def count_outcomes(records: Sequence[Record], num_samples: int, failures_count_as_wrong: bool) -> Counts:
    """How many of a result's samples have which outcome.

    Args:
        records: Records of the samples that were asked.
        num_samples: Samples that the settings request.
        failures_count_as_wrong: As in the settings.
    """
    outcomes = [outcome_of(record) for record in records]
    limits: dict[str, set[int]] = {}
    for record, outcome in zip(records, outcomes, strict=True):
        if record.reply is not None and record.reply.is_cut:
            limits.setdefault(outcome, set()).add(record.reply.limit_tokens)
    return Counts(
        num_samples=num_samples,
        num_failed=sum(record.reply is None for record in records),
        num_missing=num_samples - len(records),
        failures_count_as_wrong=failures_count_as_wrong,
        num_filtered=outcomes.count("filtered"),
        num_cut=outcomes.count("cut"),
        num_empty=outcomes.count("empty"),
        num_only_thought=outcomes.count("only thought"),
        limits_tokens={outcome: sorted(tokens) for outcome, tokens in limits.items()},
    )


def too_few_answered(counts: Mapping[tuple[str, str], Counts], min_share: float) -> list[str]:
    """What is to be said of suites that got too few answers to mean anything.

    Args:
        counts: Suite and model → its counts.
        min_share: Least share of the samples with an answer; none at all is always too few.
    """
    shortages = []
    for (suite, model), each in counts.items():
        if each.num_samples and (not each.num_answered or each.num_answered < min_share * each.num_samples):
            shortages.append(
                f"{suite} {model}: {each.num_answered:,} of {each.num_samples:,} requests were answered"
            )
    return shortages
