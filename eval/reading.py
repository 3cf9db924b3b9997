"""Reads answers back: the score of one record, the wrong answers of a suite, and a whole sample to look at."""

from collections.abc import Sequence
from typing import Any

from app.config import EvaluateConfig, RunConfig
from app.faults import UserError
from app.quantities import length_label
from app.run import Run
from eval.models import EvaluatedModel, evaluated_models, record_folder
from eval.outcomes import outcome_of
from eval.records import Record, RecordStore
from eval.samples import Sample
from eval.suite import SampledSuite
from eval.suites.registry import sampled_suites

MAX_WRONG = 30
"""Wrong answers of a model and suite that a report lists; all are in the records."""
MAX_SHOWN_CHARS = 160


def wrong_answers(suite: SampledSuite[Any], model: str, records: Sequence[Record]) -> list[str]:
    """A line for each answer that is not wholly right, the first ones of each model; the last line says how many more.

    Args:
        suite: Theirs.
        model: Name of the model.
        records: Its records.
    """
    wrong = [record for record in records if record.reply is not None and suite.score(record) < 1]
    lines = [_line(suite, model, record) for record in wrong[:MAX_WRONG]]
    if len(wrong) > MAX_WRONG:
        lines.append(f"{model}: {len(wrong) - MAX_WRONG:,} more are in the records")
    return lines


def show_sample(config: RunConfig, run: Run, sample_id: str) -> str:
    """Prompt, reply, reference and score of a sample, of each model that was asked.

    The prompt is not in the records; it is made again.

    Args:
        config: The settings that it was asked with.
        run: Holds the records.
        sample_id: As in the records, e.g. `niah-4096-00003`.

    Raises:
        UserError: No record of that name.
    """
    assert config.evaluate is not None
    shown = [
        text
        for model in evaluated_models(config)
        for suite in sampled_suites()
        if (text := _shown(config, run, model, suite, sample_id)) is not None
    ]
    if not shown:
        raise UserError(
            f"evaluate.show: {sample_id!r} is in none of the records under {run.evaluation.uri}; give a sample_id of "
            f"MODEL/SUITE/records-*.jsonl there"
        )
    return "\n\n".join(shown)


def _shown(
    config: RunConfig,
    run: Run,
    model: EvaluatedModel,
    suite: SampledSuite[Any],
    sample_id: str,
) -> str | None:
    settings: EvaluateConfig | None = config.evaluate
    assert settings is not None
    record = RecordStore(record_folder(run, model.name, suite.name)).find(sample_id)
    if record is None:
        return None
    record = suite.read_back(record, settings, record_folder(run, model.name, suite.name))
    maker = suite.make(settings, model.tokenizer, config.seed)
    slot = next((slot for slot in maker.slots() if slot.sample_id == sample_id), None)
    if slot is None:
        raise UserError(
            f"evaluate.show: {sample_id!r} was asked with other lengths, tasks or numbers than these settings; give "
            f"those that it was asked with"
        )
    sample = maker.make(slot)
    reply = record.reply
    rows = [
        ("model", model.name),
        ("sample", f"{suite.name}, {sample_id}, {length_label(record.length_tokens)} tokens"),
        ("outcome", outcome_of(record) + (f": {record.error}" if record.error else "")),
        ("score", f"{100 * suite.score(record):.1f}"),
        ("references", ", ".join(record.references)),
        ("facts", ", ".join(f"{name} {value}" for name, value in record.facts.items())),
        *([("thought", reply.thought)] if reply is not None and reply.thought else []),
        ("reply", reply.text if reply is not None else ""),
    ]
    return "\n".join(
        [f"prompt:\n{_prompt(settings, model, sample)}\n", *(f"{name}: {value}" for name, value in rows)]
    )


def _prompt(settings: EvaluateConfig, model: EvaluatedModel, sample: Sample) -> str:
    """What the endpoint read: tokens spelt out, or the message."""
    if settings.api == "chat":
        return sample.content
    return model.tokenizer.decode(sample.token_ids.tolist())


def _line(suite: SampledSuite[Any], model: str, record: Record) -> str:
    assert record.reply is not None
    depths = record.facts.get("needle_depths_percent") or record.facts.get("depths_percent") or []
    places = f", needles at {', '.join(f'{depth:.3g}%' for depth in depths)}" if depths else ""
    reply = " ".join(record.reply.text.split())
    said = repr(reply[:MAX_SHOWN_CHARS]) + ("…" if len(reply) > MAX_SHOWN_CHARS else "")
    wanted = ", ".join(record.references)[:MAX_SHOWN_CHARS]
    score = suite.score(record)
    partly = f" ({100 * score:.0f} %)" if score else ""
    return f"{model}, {record.sample_id}{places}: wanted {wanted}; replied {said if reply else 'nothing'}{partly}"
