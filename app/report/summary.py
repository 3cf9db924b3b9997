"""The summary at the top of the report."""

from datetime import UTC, datetime

from app.config import Config, RunConfig
from app.html import Content, Html, element, joined, pairs, paragraph
from app.planning.steps import Plan
from app.progress.attempts import seconds_by_step
from app.quantities import duration, money
from app.report.cost import bill, total_money
from app.report.reading import RunFacts, TrainedStage


def render_summary(config: RunConfig, facts: RunFacts, plan: Plan | str) -> Html:
    """Title, headlines, and what is not there yet."""
    longest = longest_stage(facts.stages)
    written = f"{datetime.fromtimestamp(facts.written_sec, UTC):%Y-%m-%d %H:%M} UTC"
    headlines = [
        ("Context, tokens", _context(facts, longest)),
        ("Examples", _examples(facts)),
        *_scores(facts),
        ("Time, all starts", _time(facts)),
        ("Money, at the plan's prices", _money(config, facts, plan)),
    ]
    undone = missing_parts(config, facts)
    return element(
        "header",
        paragraph(f"Longstrap run {facts.name} · written {written}", kind="pale"),
        element("h1", _title(config, longest)),
        Html(facts.growth) if facts.growth else None,
        pairs(headlines, "headlines"),
        paragraph(f"Not there yet: {', '.join(undone)}.", kind="missing") if undone else None,
    )


def longest_stage(stages: list[TrainedStage]) -> TrainedStage | None:
    """The last one that is complete."""
    return next((stage for stage in reversed(stages) if stage.record is not None), None)


def missing_parts(config: RunConfig, facts: RunFacts) -> list[str]:
    """What the settings ask for and the run does not have."""
    parts = {"corpus": facts.corpus, "index": facts.index, "dataset": facts.statistics}
    missing = [name for name, record in parts.items() if record is None] if isinstance(config, Config) else []
    missing += [f"stage {stage.name}" for stage in facts.stages if stage.record is None]
    if config.evaluate is not None and facts.evaluation is None:
        missing.append("evaluation")
    return missing


def _title(config: RunConfig, longest: TrainedStage | None) -> str:
    if config.train is None:
        return "A dataset"
    model = short_name(config.trained_model[0])
    if longest is None:
        return f"{model}, to be extended to {config.train.stages[-1].max_seq_tokens:,} tokens"
    return f"{model} → {longest.name}"


def short_name(model: str) -> str:
    """`Llama-3.1-8B-Instruct` of a hub's name or a path, `smollm2-135m-instruct` of a bundled one."""
    return model.rstrip("/").rpartition("/")[2].removeprefix("bundled:")


def _context(facts: RunFacts, longest: TrainedStage | None) -> Content:
    after = longest.record.export.max_position_embeddings if longest and longest.record else None
    before = facts.base_max_tokens
    if before is None or after is None:
        return _with_note(f"{after:,}", "after; before is not known") if after else None
    return _with_note(f"{before:,} → {after:,}", f"{after / before:,.3g} times as long")


def _examples(facts: RunFacts) -> Content:
    if facts.statistics is None:
        return None
    return _with_note(f"{facts.statistics.num_examples:,}", f"of {facts.statistics.num_tokens:,} tokens")


def _scores(facts: RunFacts) -> list[tuple[str, Content]]:
    """Needle and short-task scores, each from the last gate that measured it."""
    scores: dict[str, Content] = {}
    for stage, measured in facts.gates.items():
        if measured.niah and (found := measured.needles_found) is not None:
            length = measured.niah.length_tokens
            scores["Needles found"] = _with_note(f"{found:.1f}%", f"at {length:,} tokens, stage {stage}")
        if measured.short and (lost := measured.points_lost) is not None:
            change = f"{-lost:+.1f} points".replace("-", "−")
            after = measured.short.percent
            scores["Short tasks"] = _with_note(change, f"now {after:.1f}%, stage {stage}")
    return list(scores.items())


def _time(facts: RunFacts) -> Content:
    seconds = sum(seconds_by_step(facts.attempts).values())
    if not seconds:
        return None
    number = len(facts.attempts)
    return _with_note(duration(seconds), f"{number:,} start{'s' if number > 1 else ''} of steps")


def _money(config: RunConfig, facts: RunFacts, plan: Plan | str) -> Content:
    if isinstance(plan, str) or not facts.attempts:
        return None
    found = total_money(bill(config, facts, plan), plan)
    if found is None:
        return None
    return _with_note(money(found), f"planned: {money(plan.money)}")


def _with_note(text: str, note: str) -> Html:
    return joined([text, " ", element("small", note)])
