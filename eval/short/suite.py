"""Short tasks, run by lm-eval on the same endpoint as the long ones: they show what a stage cost."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from app.config import EvaluateConfig, cache_dir
from app.endpoints.refusals import Whose, blamed_by
from app.faults import UserError, one_line
from app.secrets import mask
from app.storage import Folder
from app.tokens import Tokenizer
from eval.samples import fingerprint
from eval.short.bundled import DATA, TASKS
from eval.short.endpoint import endpoint_model
from eval.short.scores import ShortScores, TaskScore, compare, read_scores, write_comparison
from eval.short.tasks import check_tasks, task_manager, task_names

RESULTS_SUFFIX = ".json"
SAMPLES_SUFFIX = "-samples.jsonl"


def run_short(
    config: EvaluateConfig,
    model: str,
    tokenizer: Tokenizer,
    url: str,
    key: str | None,
    folder: Folder,
    report: Callable[[str], None],
) -> ShortScores:
    """Run the tasks that one model has no scores for yet.

    Each task or group gets a file `NAME.json` in the folder once all of it is answered and scored, and the replies in
    `NAME-samples.jsonl`; with the same settings it is not asked again. Until then lm-eval keeps the answers by
    request in Longstrap's cache on this machine, so that a killed run asks only what is missing. It runs an event loop
    of its own: don't call it from one.

    Args:
        config: Settings of the evaluation, `short` among them.
        model: Name of the model at the endpoint.
        tokenizer: Tokenizer of the model.
        url: With /v1.
        key: Key of the endpoint. None: it requires no key.
        folder: Folder of this model and suite.
        report: Gets a line for each task.

    Raises:
        UserError: A task is not known, or its data or the endpoint's kind of answers are not to be had, or the
            endpoint refuses a question or does not answer any more.
    """
    asking = _Asking(config, model, tokenizer, url, key, folder)
    names = task_names(config.short.tasks)
    found = {name: asking.read(name) for name in names}
    missing = [name for name in names if found[name] is None]
    if missing:
        with _calm_logs():
            manager = task_manager(missing)
            sizes = check_tasks(manager, missing, config.api, config.short.num_samples)
            for name in missing:
                report(f"short {model}: {name}, {sizes[name]:,} questions")
                found[name] = asking.ask(manager, name)
    scores = ShortScores(model, [score for name in names for score in found[name] or []])
    write_comparison(folder, compare([scores]))
    return scores


@dataclass(frozen=True)
class _Asking:
    """One model's tasks."""

    config: EvaluateConfig
    model: str
    tokenizer: Tokenizer
    url: str
    key: str | None = field(repr=False)
    folder: Folder

    def read(self, name: str) -> list[TaskScore] | None:
        """Scores that are there already, of just these settings."""
        file_name = _stem(name) + RESULTS_SUFFIX
        if not self.folder.exists(file_name):
            return None
        written = self.folder.read_json(file_name)
        is_same = written["settings"] == self._settings(name)
        return [TaskScore(**score) for score in written["scores"]] if is_same else None

    def ask(self, manager: Any, name: str) -> list[TaskScore]:
        """Run one task or group and save its scores."""
        import aiohttp
        import requests
        from lm_eval import simple_evaluate

        settings = self._settings(name)
        # Two runs that call their models the same share no answers.
        identity = {**settings, "model": self.model, "folder": self.folder.uri}
        unfinished = cache_dir() / "short" / fingerprint(identity)
        try:
            results = simple_evaluate(
                model=endpoint_model(self.config, self.model, self.tokenizer, self.url, self.key),
                tasks=[name],
                task_manager=manager,
                limit=self.config.short.num_samples,
                apply_chat_template=settings["template"] == "chat",
                use_cache=str(unfinished / "answers"),
            )
        except (aiohttp.ClientError, requests.RequestException, TimeoutError) as error:
            # Errors of the client hold its request and with it the key.
            raise UserError(_reason(error, name, self.url)) from None
        scores = read_scores(results)
        # The scores come last: they say that all is there.
        self.folder.write_bytes(_stem(name) + SAMPLES_SUFFIX, _sample_lines(results["samples"]))
        written = {"settings": settings, "scores": [asdict(score) for score in scores]}
        self.folder.write_json(_stem(name) + RESULTS_SUFFIX, written)
        shutil.rmtree(unfinished, ignore_errors=True)
        return scores

    def _settings(self, name: str) -> dict[str, Any]:
        """What a task's results depend on besides the model."""
        return {
            "task": name,
            "num_samples": self.config.short.num_samples,
            "template": "chat" if self.config.api == "chat" else self.config.template,
            "api": self.config.api,
            "tokenizer": self.tokenizer.fingerprint,
            "lm_eval": version("lm_eval"),
            "data": _bundled_fingerprint() if name in TASKS else None,
        }


def _bundled_fingerprint() -> str:
    return fingerprint(
        {path.name: path.read_text("utf-8") for path in sorted(DATA.iterdir()) if path.is_file()}
    )


def _stem(name: str) -> str:
    return quote(name, safe="")


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


def _reason(error: Exception, name: str, url: str) -> str:
    """Whether the endpoint refuses for good, or is away."""
    response = getattr(error, "response", None)
    status = getattr(error, "status", None) or getattr(response, "status_code", None)
    reason = mask(one_line(error))[:200] or type(error).__name__
    whose = blamed_by(status) if isinstance(status, int) else Whose.NOBODY
    if whose is Whose.ENDPOINT:
        return (
            f"evaluate.url: {url} refuses every request ({reason}); mend that, and the same command goes on"
        )
    if whose is Whose.REQUEST:
        return f"evaluate.short.tasks: {url} refuses a question of {name} ({reason}); see its words in the log above"
    return (
        f"evaluate.url: {url} no longer answers ({reason}); finished answers are kept, and the same command "
        f"resumes from there"
    )


@contextmanager
def _calm_logs() -> Iterator[None]:
    """Let lm-eval log only failed requests and errors."""
    levels = {"lm_eval": logging.ERROR, "lm_eval.models.api_models": logging.WARNING}
    before = {name: logging.getLogger(name).level for name in levels}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
