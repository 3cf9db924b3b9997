"""The evaluation: samples, answers and scores for every model and suite, and one report at the end."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console

from app.config import EvaluateConfig, RunConfig, cache_dir
from app.faults import UserError
from app.progress.attempts import Report
from app.records.gate import EvaluationRecord
from app.run import ASKED_FILE, Run, claim
from app.storage import Folder
from eval.client import EvaluationClient
from eval.generation import SampleSet, prepare_samples
from eval.identity import identity_of_answers, identity_of_evaluation
from eval.models import EvaluatedModel, evaluated_models
from eval.niah import NiahMaker
from eval.niah_scores import score_niah
from eval.prompt_frame import PromptFrame
from eval.recall.maker import RecallMaker
from eval.recall.scores import score_recall, write_scores
from eval.records import Record, RecordStore
from eval.report.contents import (
    NiahResult,
    RecallResult,
    ReportContents,
    RulerResult,
    ShortResult,
    mean_score,
)
from eval.report.growth import growth_sentence
from eval.report.terminal import print_report
from eval.report.writing import write_report
from eval.results import recall_result, ruler_result, short_result
from eval.ruler.definitions import TASKS
from eval.ruler.maker import RulerMaker
from eval.ruler.published import PUBLISHED
from eval.ruler.scores import EFFECTIVE_ABOVE
from eval.runner import Runner, unanswered
from eval.samples import SampleMaker
from eval.short.suite import run_short

MAKERS: dict[str, Callable[..., SampleMaker]] = {
    "niah": NiahMaker,
    "ruler": RulerMaker,
    "recall": RecallMaker,
}


@dataclass(frozen=True)
class Endpoint:
    """Where the models are."""

    url: str
    key: str | None = field(repr=False)


class Evaluation:
    """Runs all suites on all models.

    Args:
        config: What to ask, and of whom.
        run: Takes records and report.
        endpoint: Serves the models.
        report: Gets progress.
    """

    def __init__(self, config: RunConfig, run: Run, endpoint: Endpoint, report: Report) -> None:
        assert config.evaluate is not None
        self._config = config
        self._settings = config.evaluate
        self._run = run
        self._endpoint = endpoint
        self._report = report

    def run(self) -> ReportContents:
        """Send the requests that have no answer yet, score everything, and write the report.

        Raises:
            UserError: The endpoint does not serve a model, or refuses every request, or does not answer any more.
        """
        models = evaluated_models(self._config)
        asyncio.run(self._check_served(models))
        niah: list[NiahResult] = []
        ruler: list[RulerResult] = []
        short: list[ShortResult] = []
        recall: list[RecallResult] = []
        for model in models:
            for suite in self._settings.suites:
                if suite == "short":
                    short.append(self._short(model))
                    continue
                records, readable = self._records(model, suite), _readable(self._settings, model)
                if not records:
                    # All lengths are beyond the model, which was said.
                    continue
                if suite == "niah":
                    niah.append(score_niah(model.name, readable, records))
                elif suite == "ruler":
                    ruler.append(ruler_result(model.name, readable, records, self._config.seed))
                else:
                    failures_count = self._settings.failures_count_as_wrong
                    scores = score_recall(records, failures_count, self._config.seed)
                    write_scores(self._model_folder(model) / suite, scores)
                    recall.append(recall_result(model.name, readable, records, scores))
        # Published means are over all tasks, and over RULER's own texts.
        asked = self._settings.ruler
        is_comparable = asked.haystack is None and set(asked.tasks or TASKS) == set(TASKS)
        contents = ReportContents(
            models=[model.name for model in models],
            niah=niah,
            ruler=ruler,
            published=PUBLISHED if is_comparable else (),
            ruler_threshold=EFFECTIVE_ABOVE if is_comparable else None,
            short=short,
            recall=recall,
        )
        folder = self._run.evaluation_report
        if folder.exists(ASKED_FILE):
            folder.filesystem.delete_file(folder.file(ASKED_FILE))
        own_limits = {model.name: model.files.max_tokens for model in models}
        names = write_report(folder, contents, own_limits)
        counts = [each.counts for results in (niah, ruler, recall) for each in results]
        if not any(each.num_failed for each in counts):
            _asked(self._config).write(folder, ASKED_FILE)
        print_report(contents, Console())
        self._report(f"report    {folder.uri}: {', '.join(names)}")
        if sentence := growth_sentence(niah, own_limits):
            self._report(sentence)
        return contents

    def niah_percent(self, name: str, length_tokens: int) -> float:
        """Needles that one model finds at one length.

        Args:
            name: Name of the model.
            length_tokens: One of evaluate.niah.lengths_tokens.

        Raises:
            UserError: As in `run`, or a request failed for good.
        """
        model = self._model(name)
        records = self._records(model, "niah", {length_tokens})
        niah = self._settings.niah.model_copy(update={"lengths_tokens": [length_tokens]})
        result = score_niah(name, self._settings.model_copy(update={"niah": niah}), records)
        percent = result.mean(length_tokens)
        if percent is None:
            raise UserError(
                f"evaluate.niah: {result.counts.num_failed} of {result.counts.num_samples} requests to {name} failed; "
                f"the same command sends them again, or --evaluate.failures_count_as_wrong true counts them as wrong"
            )
        return percent

    def short_percent(self, name: str) -> float:
        """Mean of one model's short tasks.

        Raises:
            UserError: As in `run`.
        """
        percent = mean_score([score.score for score in self._short(self._model(name)).scores])
        assert percent is not None, "lm-eval ends with all scores, or with an error"
        return percent

    def _model(self, name: str) -> EvaluatedModel:
        return next(model for model in evaluated_models(self._config) if model.name == name)

    async def _check_served(self, models: list[EvaluatedModel]) -> None:
        client = self._client(models[0].name)
        try:
            names = await client.model_names()
        finally:
            await client.close()
        for model in models:
            if model.name not in names:
                raise UserError(
                    f"evaluate.models: {self._endpoint.url} does not serve {model.name!r}; it serves "
                    f"{', '.join(sorted(names)) or 'nothing'}"
                )

    def _records(
        self, model: EvaluatedModel, suite: str, lengths_tokens: set[int] | None = None
    ) -> list[Record]:
        """The records of all samples that the model can read (of these lengths, if given), after they were asked."""
        maker = MAKERS[suite](self._settings, model.tokenizer, self._config.seed)
        folder = self._model_folder(model) / suite
        claim(folder, identity_of_answers(self._settings, model.name, maker))
        slots = [
            slot
            for slot in maker.slots()
            if model.reads(slot.length_tokens)
            and (lengths_tokens is None or slot.length_tokens in lengths_tokens)
        ]
        name = f"{suite} {model.name}"
        if not slots:
            self._report(f"{name}: can read {model.max_tokens:,} tokens, fewer than any of the lengths")
            return []
        cache = Folder(str(cache_dir() / "samples"))
        samples = prepare_samples(
            maker,
            slots,
            cache,
            self._settings.num_generation_workers,
            lambda line: self._report(f"{name}: {line}"),
        )
        store = RecordStore(folder)
        sample_ids = [slot.sample_id for slot in slots]
        if wanted := unanswered(store, sample_ids):
            asyncio.run(self._ask(model, name, samples, wanted, store))
        records = [store[sample_id] for sample_id in sample_ids]
        self._tell_failures(name, records)
        return records

    async def _ask(
        self, model: EvaluatedModel, name: str, samples: SampleSet, wanted: set[str], store: RecordStore
    ) -> None:
        client = self._client(model.name)
        frame = (
            PromptFrame(model.tokenizer, self._settings.template) if self._settings.api == "chat" else None
        )
        runner = Runner(
            client,
            store,
            self._settings.num_concurrent_requests,
            frame,
            self._report,
            self._config.progress.log_interval_sec,
            name,
        )
        try:
            await runner.ask_all(samples.samples(wanted.__contains__), len(wanted))
        finally:
            await client.close()

    def _short(self, model: EvaluatedModel) -> ShortResult:
        scores = run_short(
            self._settings,
            model.name,
            model.tokenizer,
            self._endpoint.url,
            self._endpoint.key,
            self._model_folder(model) / "short",
            self._report,
        )
        return short_result(scores)

    def _tell_failures(self, name: str, records: list[Record]) -> None:
        reasons = Counter(record.error for record in records if record.error is not None)
        for reason, number in reasons.most_common():
            self._report(f"{name}: {number:,} of {len(records):,} requests failed: {reason}")
        if reasons and not self._settings.failures_count_as_wrong:
            self._report(
                f"{name}: what they belong to has no score; the same command asks them again, or "
                f"--evaluate.failures_count_as_wrong true counts them as wrong"
            )

    def _client(self, model: str) -> EvaluationClient:
        return EvaluationClient(self._settings, self._endpoint.url, self._endpoint.key, model)

    def _model_folder(self, model: EvaluatedModel) -> Folder:
        return self._run.evaluation / model.name.replace("/", "--")


def is_evaluated(config: RunConfig, run: Run) -> bool:
    """Whether the run has the whole report of just this evaluation."""
    folder = run.evaluation_report
    return folder.exists(ASKED_FILE) and EvaluationRecord.read(folder, ASKED_FILE) == _asked(config)


def _asked(config: RunConfig) -> EvaluationRecord:
    assert config.evaluate is not None
    return EvaluationRecord(**identity_of_evaluation(config), suites=list(config.evaluate.suites))


def _readable(settings: EvaluateConfig, model: EvaluatedModel) -> EvaluateConfig:
    """The settings without the lengths that are beyond a model."""
    changed = {}
    for suite in MAKERS:
        section = getattr(settings, suite)
        lengths = [length for length in section.lengths_tokens if model.reads(length)]
        changed[suite] = section.model_copy(update={"lengths_tokens": lengths})
    return settings.model_copy(update=changed)
