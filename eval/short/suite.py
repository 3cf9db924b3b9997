"""Short tasks, run by lm-eval on the same endpoint as the long ones: they show what a stage cost."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from app.config import EvaluateConfig, cache_dir, identity
from app.storage import Folder
from app.tokens import Tokenizer
from eval.samples import fingerprint
from eval.short.bundled import DATA, TASKS
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
    there = [each for name in names if (each := found[name]) is not None]
    scores = ShortScores(
        model,
        [score for task_scores, _ in there for score in task_scores],
        [remark for _, remarks in there for remark in remarks],
    )
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

    def read(self, name: str) -> tuple[list[TaskScore], list[str]] | None:
        """Scores and remarks that are there already, of just these settings."""
        file_name = _stem(name) + RESULTS_SUFFIX
        if not self.folder.exists(file_name):
            return None
        written = self.folder.read_json(file_name)
        is_same = written["settings"] == self._settings(name)
        if not is_same:
            return None
        return [TaskScore(**score) for score in written["scores"]], written.get("remarks", [])

    def ask(self, manager: Any, name: str) -> tuple[list[TaskScore], list[str]]:
        """Run one task or group and save its scores."""
        from lm_eval import simple_evaluate

        from eval.short.language_model import EndpointLm

        settings = self._settings(name)
        # Two runs that call their models the same share no answers.
        decides = {**settings, "folder": self.folder.uri}
        unfinished = cache_dir() / "short" / fingerprint(decides)
        asked = EndpointLm(self.config, self.model, self.tokenizer, self.url, self.key)
        results = simple_evaluate(
            model=asked,
            tasks=[name],
            task_manager=manager,
            limit=self.config.short.num_samples,
            apply_chat_template=settings["template"] == "chat",
            use_cache=str(unfinished / "answers"),
        )
        scores = read_scores(results)
        # The scores come last: they say that all is there.
        self.folder.write_bytes(_stem(name) + SAMPLES_SUFFIX, _sample_lines(results["samples"]))
        remarks = remarks_of(name, asked.outcomes)
        written = {"settings": settings, "scores": [asdict(score) for score in scores], "remarks": remarks}
        self.folder.write_json(_stem(name) + RESULTS_SUFFIX, written)
        shutil.rmtree(unfinished, ignore_errors=True)
        return scores, remarks

    def _settings(self, name: str) -> dict[str, Any]:
        """What a task's results depend on."""
        return {
            "task": name,
            # Another name may have the same folder.
            "model": self.model,
            "num_samples": self.config.short.num_samples,
            "template": "chat" if self.config.api == "chat" else self.config.template,
            "api": self.config.api,
            "tokenizer": self.tokenizer.fingerprint,
            "sampling": identity(self.config.sampling),
            "lm_eval": version("lm_eval"),
            "data": _bundled_fingerprint() if name in TASKS else None,
        }


def remarks_of(name: str, outcomes: Mapping[str, int]) -> list[str]:
    """What must be known of a task's scores: replies that were cut, or held no answer."""
    num_replies = sum(outcomes.values())
    said = {"cut": "were cut by the task's limit; they are scored as they are", "empty": "held no answer"}
    return [
        f"{name}: {outcomes[kind]:,} of {num_replies:,} replies {words}."
        for kind, words in said.items()
        if outcomes.get(kind)
    ]


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


@contextmanager
def _calm_logs() -> Iterator[None]:
    """Let lm-eval log only errors."""
    logger = logging.getLogger("lm_eval")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
