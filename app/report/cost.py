"""The report's section on costs: what the run took, compared with the plan. Cells without a measurement stay empty."""

from datetime import UTC, datetime
from typing import Any

from app.config import Config, OpenAiConfig, RunConfig
from app.html import (
    Cell,
    Content,
    Html,
    bytes_cell,
    count_cell,
    details,
    items,
    memory_cell,
    missing,
    money_cell,
    seconds_cell,
    section,
    table,
)
from app.planning.steps import Plan
from app.progress.attempts import Attempt
from app.report.comparison import HEAD, ComparedStep, compare_steps, total
from app.report.reading import EVALUATION_DIR, TOKENS_DIR, RunFacts

TITLE = "What it cost against the plan"


def render_cost(config: RunConfig, facts: RunFacts, plan: Plan | str) -> Html:
    """Time, money, calls, training and storage, planned and measured.

    Args:
        config: The settings.
        facts: Facts of the run.
        plan: Made with the same settings, or why there is none.
    """
    known = plan if isinstance(plan, Plan) else None
    content: list[Content] = []
    if isinstance(plan, str):
        content.append(missing(f"There is no plan beside it: {plan}"))
    if not facts.attempts:
        content.append(missing("No start of a step is recorded, so no time is known."))
    steps = bill(config, facts, known)
    if steps:
        content.append(_step_table(steps, known))
    statistics = facts.statistics
    calls = {step: counts.values() for step, counts in statistics.calls.items()} if statistics else {}
    if calls or (known and known.calls):
        content.append(_call_table(calls, known))
    if facts.stages:
        content.append(_training_table(facts, known))
    content.append(_storage_table(facts, known))
    if facts.attempts:
        content.append(details(f"Every start of a step ({len(facts.attempts)})", _attempt_table(facts)))
    if known:
        content.append(details("What the plan counts with", items([*known.faults, *known.notes])))
    return section("cost", TITLE, *content)


def bill(config: RunConfig, facts: RunFacts, plan: Plan | None) -> list[ComparedStep]:
    """The run's steps, planned and measured."""
    return compare_steps(plan, facts.attempts, endpoint_money(config, facts), facts.has_own_documents)


def endpoint_money(config: RunConfig, facts: RunFacts) -> float | None:
    """Price of the tokens that an endpoint's generator read and wrote; None where no price or no count is known."""
    prompt, output = config.plan.price_per_million_prompt_tokens, config.plan.price_per_million_output_tokens
    is_endpoint = isinstance(config, Config) and isinstance(config.generator, OpenAiConfig)
    if not is_endpoint or prompt is None or output is None or facts.statistics is None:
        return None
    calls = facts.statistics.calls.values()
    return sum(prompt * step.num_prompt_tokens + output * step.num_output_tokens for step in calls) / 1e6


def total_money(steps: list[ComparedStep], plan: Plan) -> float | None:
    """What the measured time cost at the plan's prices, with the head's; None where a part of it is not known.

    Steps whose machines have no price count as little as in the plan's own sum.
    """
    priced = [step for step in steps if any(each.money is not None for each in step.planned)]
    moneys = [step.measured_money for step in priced if step.measured_sec is not None]
    _, head = head_money(steps, plan)
    return total([*moneys, *([] if head is None else [head])])


def head_money(steps: list[ComparedStep], plan: Plan) -> tuple[float | None, float | None]:
    """Price of the machine that is there all the time, planned and for the measured time."""
    planned = next((step.money for step in plan.steps if step.name == HEAD), None)
    measured_sec = _measured_sec(steps)
    if planned is None or measured_sec is None or not plan.seconds:
        return planned, None
    return planned, planned / plan.seconds * measured_sec


def _step_table(steps: list[ComparedStep], plan: Plan | None) -> Html:
    heads = ["starts", "time planned", "time measured", "measured/planned"]
    rows = [_step_row(step) for step in steps]
    totals: list[Content] = [
        "all",
        sum(step.num_attempts for step in steps),
        seconds_cell(total([step.planned_sec for step in steps if step.planned])),
        seconds_cell(_measured_sec(steps)),
        None,
    ]
    caption = "Wall time by step; time of starts that failed or were killed counts"
    if plan is not None and plan.money is not None:
        heads += ["money planned", "money for the measured time"]
        for row, step in zip(rows, steps, strict=True):
            row += [money_cell(step.planned_money), money_cell(step.measured_money)]
        head = head_money(steps, plan)
        if head[0] is not None:
            rows.append([f"{HEAD}, all the time", *[None] * 4, *map(money_cell, head)])
        totals += [money_cell(plan.money), money_cell(total_money(steps, plan))]
        caption += "; money is for the planned machines at the plan's prices"
    return table(caption, ["step"], heads, rows, totals)


def _step_row(step: ComparedStep) -> list[Content]:
    others = [each.name for each in step.planned if not each.name.startswith(step.name)]
    ratio = step.measured_sec / step.planned_sec if step.measured_sec and step.planned_sec else None
    return [
        f"{step.name} (with {', '.join(others)})" if others else step.name,
        step.num_attempts or None,
        seconds_cell(step.planned_sec),
        seconds_cell(step.measured_sec),
        None if ratio is None else Cell(f"{ratio:,.{0 if ratio >= 10 else 2}f}×", ratio),
    ]


def _measured_sec(steps: list[ComparedStep]) -> float | None:
    known = [step.measured_sec for step in steps if step.measured_sec is not None]
    return sum(known) if known else None


def _call_table(made: dict[str, Any], plan: Plan | None) -> Html:
    planned = {call["step"]: call for call in plan.calls} if plan else {}
    names = list(dict.fromkeys([*planned, *made]))
    columns = (
        ("num_calls", "num_calls"),
        ("prompt_tokens", "num_prompt_tokens"),
        ("output_tokens", "num_output_tokens"),
    )

    def numbers(names: list[str]) -> list[Content]:
        cells: list[Content] = []
        for of_plan, of_run in columns:
            cells.append(count_cell(_sum(planned, names, of_plan)))
            cells.append(count_cell(_sum(made, names, of_run)))
        return [*cells, count_cell(_sum(made, names, "num_cached_tokens"))]

    heads = [
        "calls planned",
        "made",
        "tokens in planned",
        "read",
        "tokens out planned",
        "written",
        "read from cache",
    ]
    return table(
        "Calls of the generator",
        ["step"],
        heads,
        [[name, *numbers([name])] for name in names],
        ["all", *numbers(names)],
    )


def _sum(calls: dict[str, Any], names: list[str], field: str) -> float | None:
    known = [calls[name][field] for name in names if name in calls]
    return sum(known) if known else None


def _training_table(facts: RunFacts, plan: Plan | None) -> Html:
    memory = {each.name: each for each in plan.memory} if plan else {}
    rows: list[list[Content]] = []
    for stage in facts.stages:
        planned = memory.get(f"train {stage.name}")
        peaks = [record["peak_memory_bytes"] for record in stage.steps]
        rows.append(
            [
                stage.name,
                stage.settings.total_steps * stage.settings.batch_tokens,
                stage.num_tokens,
                memory_cell(planned.total_bytes if planned else None),
                memory_cell(max(peaks) if peaks else None),
                memory_cell(planned.limit_bytes if planned else None),
            ]
        )
    heads = ["tokens planned", "trained on", "peak memory planned", "measured", "the plan's limit"]
    return table("Training, memory of one worker", ["stage"], heads, rows)


def _storage_table(facts: RunFacts, plan: Plan | None) -> Html:
    planned = {step.name: step.storage_bytes for step in plan.steps} if plan else {}
    folders = {"corpus": ["corpus"], "index": ["index"], "synthesize": ["dataset"]}
    for place, stage in enumerate(facts.stages):
        # The plan counts the tokenized sources with the first stage.
        folders[f"train {stage.name}"] = [*([] if place else [TOKENS_DIR]), f"train/{stage.name}"]
    folders["evaluate"] = [EVALUATION_DIR]
    rows: list[list[Content]] = []
    for step, names in folders.items():
        found = sum(facts.num_bytes.get(name, 0) for name in names)
        if found or planned.get(step):
            rows.append([" and ".join(names), bytes_cell(planned.get(step)), bytes_cell(found)])
    totals = ["all", bytes_cell(sum(planned.values())), bytes_cell(sum(facts.num_bytes.values()))]
    caption = "Storage: the plan counts the most that there is at one time, the run what was left of it"
    return table(caption, ["folder"], ["planned", "found"], rows, totals)


def _attempt_table(facts: RunFacts) -> Html:
    rows = [
        [
            each.step,
            f"{datetime.fromtimestamp(each.started_sec, UTC):%Y-%m-%d %H:%M:%S}",
            _outcome(each, facts.written_sec),
            each.line,
            seconds_cell(each.duration_sec),
        ]
        for each in facts.attempts
    ]
    return table("Starts", ["step", "started (UTC)", "ended", "last line"], ["took"], rows)


def _outcome(attempt: Attempt, now_sec: float) -> str:
    if attempt.outcome == "running" and not attempt.is_alive(now_sec):
        return "killed"
    return attempt.outcome
