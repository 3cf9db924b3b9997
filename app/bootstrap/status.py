"""Where a run stands, read from its folder only: what is complete, what is running, what was stopped."""

from typing import Any

from app.checks import check_run_dir_name
from app.faults import UserError, one_line
from app.progress.attempts import Attempt, read_attempts
from app.quantities import duration
from app.run import ASKED_FILE, CONFIG_FILE, REPORT_FILE, Run, later_rounds
from app.storage import Folder

NAME_CHARS = 14


def describe_status(run_dir: str, now_sec: float) -> str:
    """A run's steps and how far each is, as lines for a person.

    Args:
        run_dir: The run's folder.
        now_sec: Since 1970.

    Raises:
        UserError: There is no run.
    """
    check_run_dir_name(run_dir, "status")
    folder = require_run("status", run_dir)
    rounds = [folder, *later_rounds(folder)]
    blocks = []
    for number, each in enumerate(rounds, 1):
        title = f"{each.uri}" if len(rounds) == 1 else f"{each.uri}, round {number}"
        blocks.append("\n".join([title, *_steps(each, now_sec, is_first=number == 1)]))
    return "\n\n".join(blocks)


def require_run(field: str, run_dir: str) -> Folder:
    """The folder of a run that has been started.

    Args:
        field: What named it.
        run_dir: The run's folder.

    Raises:
        UserError: There is no run.
    """
    try:
        folder = Folder(run_dir)
        is_run = folder.exists(CONFIG_FILE)
    except OSError as error:
        reason = one_line(error)
        raise UserError(f"{field}: {run_dir} can't be read ({reason}); give the folder of a run") from error
    if not is_run:
        raise UserError(f"{field}: {folder.uri} holds no run; give the folder of one")
    return folder


def _steps(folder: Folder, now_sec: float, is_first: bool) -> list[str]:
    run = Run(folder.uri)
    config: dict[str, Any] = folder.read_json(CONFIG_FILE).get("config")
    if not isinstance(config, dict):
        raise UserError(f"{folder.uri}/{CONFIG_FILE}: holds no settings; give the folder of a run")
    attempts = {each.step: each for each in read_attempts(folder)}
    seen: set[str] = set()

    def line(name: str, fact: str | None, *steps: str) -> str:
        """`fact` says what is complete; else the newest attempt at one of the steps tells."""
        seen.update(steps)
        found = [attempts[step] for step in steps if step in attempts]
        newest = max(found, key=lambda each: each.started_sec, default=None)
        return f"  {name:<{NAME_CHARS}} {_state(fact, newest, now_sec)}"

    lines = []
    if is_first and "corpus" in config:
        lines += [
            line("corpus", _corpus(run), "corpus", "index", "synthesize"),
            line("index", _index(run), "index", "synthesize"),
        ]
    if "dataset" in config:
        lines.append(line("dataset", _dataset(run), "synthesize"))
    stages = (config.get("train") or {}).get("stages", [])
    for stage in stages:
        name = stage["name"]
        lines.append(line(f"train {name}", _stage(run, name), f"train {name}", "train"))
        if (gate := _gate(run, name)) is not None or f"gate {name}" in attempts:
            lines.append(line(f"gate {name}", gate, f"gate {name}"))
    if config.get("evaluate"):
        lines.append(line("evaluation", _evaluation(run), "evaluate"))
    report = (folder / REPORT_FILE).uri if folder.exists(REPORT_FILE) else None
    lines.append(line("report", report, "report"))
    lines += [line(step, None, step) for step in attempts if step not in seen]
    return lines


def _state(fact: str | None, newest: Attempt | None, now_sec: float) -> str:
    if newest is not None and newest.is_alive(now_sec):
        ago = duration(now_sec - newest.seen_sec)
        return (
            f"working for {duration(now_sec - newest.started_sec)}, last sign {ago} ago: {newest.line or '…'}"
        )
    if fact is not None:
        return f"complete: {fact}"
    if newest is None:
        return "not begun"
    if newest.outcome == "failed":
        return f"stopped: {newest.line}"
    if newest.outcome == "running":
        since = duration(now_sec - newest.seen_sec)
        return f"killed {since} ago, goes on when the same command is given: {newest.line or '…'}"
    return "not complete"


def _corpus(run: Run) -> str | None:
    if not run.corpus.is_complete():
        return None
    record = run.corpus.record()
    return (
        f"{record.num_documents:,} documents, {record.num_tokens:,} tokens, {record.num_passages:,} passages"
    )


def _index(run: Run) -> str | None:
    if not run.index.is_complete():
        return None
    record = run.index.record()
    return f"{record.num_vectors:,} vectors, recall@10 {record.recall_at_10:.2f}"


def _dataset(run: Run) -> str | None:
    if not run.dataset.is_complete():
        return None
    record = run.dataset.record()
    return f"{record.num_examples:,} examples, {record.num_tokens:,} tokens, {record.num_rejects:,} rejects"


def _stage(run: Run, name: str) -> str | None:
    artefact = run.stage(name)
    if not artefact.is_complete():
        return None
    stage = artefact.record().stage
    loss = f", loss {stage.losses[-1]:.3f}" if stage.losses else ""
    return f"{stage.max_seq_tokens:,} tokens a sequence, {stage.num_tokens:,} trained{loss}"


def _gate(run: Run, name: str) -> str | None:
    record = run.gate(name)
    if record is None:
        return None
    parts = []
    if niah := record.niah:
        parts.append(f"needles {niah.percent:.1f} % at {niah.length_tokens:,} tokens")
    if short := record.short:
        parts.append(f"short tasks {short.percent:.1f} %, base {short.base_percent:.1f} %")
    return "; ".join(parts)


def _evaluation(run: Run) -> str | None:
    return run.evaluation_report.uri if run.evaluation_report.exists(ASKED_FILE) else None
