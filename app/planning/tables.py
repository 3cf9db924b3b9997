"""Renders a plan as text, at most 96 columns wide, and as a JSON file."""

import io
from pathlib import Path

from rich.console import Console
from rich.table import Table

from app.config import RunConfig
from app.faults import UserError, one_line
from app.planning.plan import make_plan
from app.planning.steps import Plan, PlannedStep
from app.quantities import GIB, duration, money, short, size
from app.storage import Folder

COLUMNS = 96


def describe_plan(config: RunConfig) -> str:
    """The plan's tables; writes `plan.json_path`, where that is set.

    Raises:
        UserError: The recipe cannot be planned.
    """
    plan = make_plan(config)
    if config.plan.json_path is not None:
        path = Path(config.plan.json_path).expanduser().absolute()
        if path.exists() and not path.is_file():
            raise UserError(
                f"plan.json_path: {config.plan.json_path!r} is there and is no file; give another name"
            )
        try:
            Folder(str(path.parent)).write_json(path.name, plan.record())
        except OSError as error:
            raise UserError(
                f"plan.json_path: {config.plan.json_path!r} can't be written ({one_line(error)}); give another place"
            ) from error
    return render_plan(plan)


def render_plan(plan: Plan) -> str:
    """The whole plan as text."""
    stream = io.StringIO()
    console = Console(file=stream, width=COLUMNS, highlight=False, markup=False)
    console.print(plan.title)
    console.print()
    console.print(_steps_table(plan))
    if plan.calls:
        console.print()
        console.print(_calls_table(plan))
    if plan.memory:
        console.print()
        console.print(_memory_table(plan))
    for title, lines in (("Does not fit", plan.faults), ("Notes", plan.notes)):
        if lines:
            console.print(f"\n{title}")
            for line in lines:
                console.print(f"- {line}", soft_wrap=False)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def _steps_table(plan: Plan) -> Table:
    has_money = plan.money is not None
    table = _table(
        "step", "work", "on", ">time", ">GPU-hours", ">FLOPs", ">storage", *([">money"] * has_money)
    )
    for step in plan.steps:
        table.add_row(*_step_row(step), *([money(step.money)] * has_money))
    total_bytes = sum(step.storage_bytes for step in plan.steps)
    gpu_hours = sum(step.gpu_hours for step in plan.steps)
    row = ["total", "", "", duration(plan.seconds), _hours(gpu_hours), "", size(total_bytes)]
    table.add_section()
    table.add_row(*row, *([money(plan.money)] * has_money))
    return table


def _step_row(step: PlannedStep) -> list[str]:
    return [
        step.name,
        step.work,
        step.machines.describe() if step.machines else "",
        _time(step.seconds),
        _hours(step.gpu_hours),
        "" if step.flops is None else f"{step.flops:.1e}".replace("e+", "e"),
        size(step.storage_bytes),
    ]


def _calls_table(plan: Plan) -> Table:
    table = _table("LLM calls of", ">calls", ">tokens in", ">tokens out", ">in a call", ">out a call")
    for call in plan.calls:
        numbers = [call["num_calls"], call["prompt_tokens"], call["output_tokens"]]
        number = max(call["num_calls"], 1e-9)
        each = [call["prompt_tokens"] / number, call["output_tokens"] / number]
        table.add_row(
            call["step"], *(short(value) for value in numbers), *(f"{value:,.0f}" for value in each)
        )
    totals = [
        sum(call[name] for call in plan.calls) for name in ("num_calls", "prompt_tokens", "output_tokens")
    ]
    table.add_row("all", *(short(value) for value in totals))
    return table


def _memory_table(plan: Plan) -> Table:
    table = _table("GiB a device", ">all", ">of", "parts", ">host", "needs")
    for each in plan.memory:
        parts = ", ".join(f"{name} {part / GIB:.1f}" for name, part in each.parts_bytes.items())
        table.add_row(
            each.name,
            f"{each.total_bytes / GIB:.1f}",
            f"{each.limit_bytes / GIB:.1f}",
            f"{parts}; {each.note}" if each.note else parts,
            f"{each.host_bytes / GIB:,.0f}" if each.host_bytes else "",
            each.needs,
        )
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in names:
        is_number = name.startswith(">")
        table.add_column(
            name.removeprefix(">"),
            justify="right" if is_number else "left",
            no_wrap=is_number,
            overflow="fold",
        )
    return table


def _time(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.1f}" if hours else ""
