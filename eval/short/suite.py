"""Short tasks, asked by lm-eval of the same endpoint as the long ones: what a stage cost."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from app.config import EvaluateConfig, cache_dir
from app.storage import Folder
from app.tokens import Tokenizer
from eval.client import EndpointAwayError
from eval.samples import fingerprint
from eval.short.bundled import DATA
from eval.short.endpoint import endpoint_model
from eval.short.scores import ShortScores, TaskScore, compare, read_scores, write_comparison
from eval.short.tasks import BUNDLED, check_tasks, task_manager, task_names

RESULTS_SUFFIX = ".json"
SAMPLES_SUFFIX = "-samples.jsonl"
_PASSING_STATUS = (408, 429)
"""Statuses below 500 that another try may change."""


def run_short(
    config: EvaluateConfig,
    model: str,
    tokenizer: Tokenizer,
    url: str,
    key: str | None,
    folder: Folder,
    report: Callable[[str], None],
) -> ShortScores:
    """Ask one model what it has not answered yet.

    Each task or group gets a file `NAME.json` in the folder once all of it is answered and scored, and the replies in
    `NAME-samples.jsonl`; with the same settings it is not asked again. Until then lm-eval keeps the answers by
    request in Longstrap's cache on this machine, so that a killed run asks only what is missing. It runs an event loop
    of its own: don't call it from one.

    Args:
        config: Its `short`, and how to ask.
        model: Its name at the endpoint.
        tokenizer: The model's.
        url: With /v1.
        key: Of the endpoint; None: it asks for none.
        folder: Of this model and suite.
        report: Gets a line for each task.

    Raises:
        ValueError: a task is not known, or its data or the endpoint's kind of answers are not to be had.
        EndpointAwayError: the endpoint does not answer, or fails.
    """
    names = task_names(config.short.tasks)
    settings = {name: _settings(config, name, tokenizer) for name in names}
    found = {name: _read(folder, name, settings[name]) for name in names}
    missing = [name for name in names if found[name] is None]
    if missing:
        with _calm_logs():
            manager = task_manager(missing)
            sizes = check_tasks(manager, missing, config.api)
            for name in missing:
                num = min(sizes[name], config.short.num_samples or sizes[name])
                report(
                    f"short {model}: {name}, {num:,} questions"
                    + (" of each task" if num < sizes[name] else "")
                )
                found[name] = _ask(config, model, tokenizer, url, key, folder, manager, name, settings[name])
    short_scores = ShortScores(model, [score for name in names for score in found[name] or []])
    write_comparison(folder, compare([short_scores]))
    return short_scores


def _settings(config: EvaluateConfig, name: str, tokenizer: Tokenizer) -> dict[str, Any]:
    """What a task's results depend on besides the model."""
    return {
        "task": name,
        "num_samples": config.short.num_samples,
        "template": "chat" if config.api == "chat" else config.template,
        "api": config.api,
        "tokenizer": tokenizer.fingerprint,
        "lm_eval": version("lm_eval"),
        "data": _bundled_fingerprint() if name in BUNDLED else None,
    }


def _bundled_fingerprint() -> str:
    return fingerprint(
        {path.name: path.read_text("utf-8") for path in sorted(DATA.iterdir()) if path.is_file()}
    )


def _read(folder: Folder, name: str, settings: dict[str, Any]) -> list[TaskScore] | None:
    """Scores that are there already, of just these settings."""
    file_name = f"{quote(name, safe='')}{RESULTS_SUFFIX}"
    if not folder.exists(file_name):
        return None
    written = folder.read_json(file_name)
    return [TaskScore(**score) for score in written["scores"]] if written["settings"] == settings else None


def _ask(
    config: EvaluateConfig,
    model: str,
    tokenizer: Tokenizer,
    url: str,
    key: str | None,
    folder: Folder,
    manager: Any,
    name: str,
    settings: dict[str, Any],
) -> list[TaskScore]:
    import aiohttp
    import requests
    from lm_eval import simple_evaluate

    # Two runs that call their models the same share no answers.
    unfinished = cache_dir() / "short" / fingerprint({**settings, "model": model, "folder": folder.uri})
    try:
        results = simple_evaluate(
            model=endpoint_model(config, model, tokenizer, url, key),
            tasks=[name],
            task_manager=manager,
            limit=config.short.num_samples,
            apply_chat_template=settings["template"] == "chat",
            use_cache=str(unfinished / "answers"),
        )
    except (aiohttp.ClientError, requests.RequestException, TimeoutError) as error:
        raise _failure(error, name, url) from error
    scores = read_scores(results)
    stem = quote(name, safe="")
    # The scores come last: they say that all is there.
    folder.write_bytes(f"{stem}{SAMPLES_SUFFIX}", _sample_lines(results["samples"]))
    folder.write_json(
        f"{stem}{RESULTS_SUFFIX}", {"settings": settings, "scores": [asdict(score) for score in scores]}
    )
    shutil.rmtree(unfinished, ignore_errors=True)
    return scores


def _sample_lines(samples: dict[str, list[dict[str, Any]]]) -> bytes:
    """One line of JSON for each question and filter: the reply and what it scored."""
    lines = []
    for task, logged in samples.items():
        for sample in logged:
            line = {
                "task": task,
                "doc_id": sample["doc_id"],
                "filter": sample["filter"],
                "prompt_hash": sample["prompt_hash"],
                "target": sample["target"],
                "replies": sample["resps"],
                "scores": {metric: sample[metric] for metric in sample["metrics"]},
            }
            lines.append(json.dumps(line, ensure_ascii=False, default=str) + "\n")
    return "".join(lines).encode("utf-8", "replace")


def _failure(error: Exception, name: str, url: str) -> Exception:
    """The endpoint refuses for good, or is away."""
    response = getattr(error, "response", None)
    status = getattr(error, "status", None) or getattr(response, "status_code", None)
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(status, int) and 400 <= status < 500 and status not in _PASSING_STATUS:
        return ValueError(
            f"evaluate.short.tasks: {url} refuses a question of {name} ({reason}); its own words are in the log above"
        )
    return EndpointAwayError(
        f"{url} does not answer {name} of the short tasks ({reason}); start again to go on"
    )


@contextmanager
def _calm_logs() -> Iterator[None]:
    """Of lm-eval's log lines only those of failed requests, and errors."""
    levels = {"lm_eval": logging.ERROR, "lm_eval.models.api_models": logging.WARNING}
    before = {name: logging.getLogger(name).level for name in levels}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
