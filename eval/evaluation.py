"""The evaluation: samples, answers and scores for every model and suite, and one report at the end."""

import asyncio
from collections import Counter
from dataclasses import replace
from functools import cached_property
from typing import Any

from rich.console import Console

from app.config import RunConfig, cache_dir
from app.endpoints.models import EndpointModel
from app.faults import UserError
from app.progress.attempts import Report
from app.records.gate import EvaluationRecord
from app.run import ASKED_FILE, Run, claim
from app.storage import Folder
from eval.asking import PrefixWay, describe_way, prefix_way
from eval.client import EvaluationClient
from eval.generation import SampleSet, prepare_samples
from eval.identity import identity_of_answers, identity_of_evaluation
from eval.models import EvaluatedModel, evaluated_models, record_folder, with_endpoint_limits
from eval.niah_scores import score_niah
from eval.outcomes import too_few_answered
from eval.preflight import check_lengths
from eval.reading import wrong_answers
from eval.records import Record, RecordStore
from eval.report.contents import ReportContents, mean_score
from eval.report.growth import growth_sentence, render_growth
from eval.report.terminal import print_report
from eval.report.writing import write_report
from eval.runner import Runner, unanswered
from eval.suite import Endpoint, LibrarySuite, SampledSuite, Scoring, Suite
from eval.suites.niah import NiahSuite
from eval.suites.registry import SUITES, asked_suites, make_parts, sampled_suite
from eval.suites.short import ShortSuite

NIAH, SHORT = NiahSuite.name, ShortSuite.name
"""What a gate measures, and a headline says."""


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
        self._num_left_out: dict[tuple[str, str], int] = {}

    def run(self) -> ReportContents:
        """Send the requests that have no answer yet, score everything, and write the report.

        Raises:
            UserError: The endpoint does not serve a model, or none of them reads one of the lengths, or it refuses
                every request, or does not answer any more, or answered too few of a suite's requests; in this last
                case the report is written.
        """
        models = self._models
        if self._settings.url is not None:
            # Of one's own models this was checked before they were served, those that are not there among them.
            check_lengths(self._settings, models)
        results: dict[str, list[Any]] = {}
        wrong: dict[str, list[str]] = {}
        for model in models:
            for suite in asked_suites(self._settings):
                if isinstance(suite, LibrarySuite):
                    results.setdefault(suite.name, []).append(self._library(model, suite))
                    continue
                assert isinstance(suite, SampledSuite)
                if records := self._records(model, suite):
                    scoring = self._scoring(model, suite, records)
                    scoring = replace(scoring, records=suite.judged(scoring))
                    results.setdefault(suite.name, []).append(suite.result(scoring))
                    lines = wrong_answers(suite, model.name, scoring.records)
                    wrong.setdefault(suite.name, []).extend(lines)
        contents = ReportContents(
            models=[model.name for model in models], results=results, remarks=self._remarks(), wrong=wrong
        )
        return self._written(contents)

    def _written(self, contents: ReportContents) -> ReportContents:
        folder = self._run.evaluation_report
        if folder.exists(ASKED_FILE):
            folder.filesystem.delete_file(folder.file(ASKED_FILE))
        parts = make_parts(contents)
        own_limits = {model.name: model.files.max_tokens for model in self._models}
        niah = contents.of(NIAH)
        names = write_report(folder, parts, render_growth(niah, own_limits))
        counts = {
            (name, each.model): each.counts
            for name in contents.results
            for each in contents.of(name)
            if each.counts is not None
        }
        shortages = too_few_answered(counts, self._settings.min_answered_share)
        if not shortages and not any(each.num_failed for each in counts.values()):
            _asked(self._config).write(folder, ASKED_FILE)
        print_report(parts, Console())
        self._report(f"report    {folder.uri}: {', '.join(names)}")
        if sentence := growth_sentence(niah, own_limits):
            self._report(sentence)
        if shortages:
            raise UserError(
                f"evaluate.min_answered_share: {'; '.join(shortages)}; the report says why, and the same command asks "
                f"failed requests again"
            )
        return contents

    def _remarks(self) -> list[str]:
        ways = {prefix_way(self._settings, self._listed.get(model.name)) for model in self._models}
        return [remark for way in sorted(ways, key=str) if (remark := describe_way(way)) is not None]

    def niah_percent(self, name: str, length_tokens: int) -> float:
        """Needles that one model finds at one length.

        Args:
            name: Name of the model.
            length_tokens: One of evaluate.niah.lengths_tokens.

        Raises:
            UserError: As in `run`, or a request failed for good.
        """
        model = self._model(name)
        records = self._records(model, sampled_suite(NIAH), {length_tokens})
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
        percent = mean_score(
            [score.score for score in self._library(self._model(name), SUITES[SHORT]).scores]
        )
        assert percent is not None, "lm-eval ends with all scores, or with an error"
        return percent

    def _model(self, name: str) -> EvaluatedModel:
        return next(model for model in self._models if model.name == name)

    @cached_property
    def _models(self) -> list[EvaluatedModel]:
        """The models, with the lengths that the endpoint takes.

        Raises:
            UserError: The endpoint does not serve one of them.
        """
        models = evaluated_models(self._config)
        for model in models:
            if model.name not in self._listed:
                raise UserError(
                    f"evaluate.models: {self._endpoint.url} does not serve {model.name!r}; it serves "
                    f"{', '.join(sorted(self._listed)) or 'nothing'}"
                )
        return with_endpoint_limits(self._config, models, self._listed)

    @cached_property
    def _listed(self) -> dict[str, EndpointModel]:
        """What the endpoint's /models says, by name."""

        async def listed() -> list[EndpointModel]:
            client = EvaluationClient(self._settings, self._endpoint.url, self._endpoint.key, "")
            try:
                return await client.models()
            finally:
                await client.close()

        return {model.name: model for model in asyncio.run(listed())}

    def _records(
        self, model: EvaluatedModel, suite: SampledSuite[Any], lengths_tokens: set[int] | None = None
    ) -> list[Record]:
        """The records of all samples that the model can read (of these lengths, if given), after they were asked."""
        maker = suite.make(self._settings, model.tokenizer, self._config.seed)
        folder = record_folder(self._run, model.name, suite.name)
        way = prefix_way(self._settings, self._listed.get(model.name))
        claim(folder, identity_of_answers(self._settings, model.name, maker, way))
        all_slots = maker.slots()
        slots = [
            slot
            for slot in all_slots
            if model.reads(slot.length_tokens)
            and (lengths_tokens is None or slot.length_tokens in lengths_tokens)
        ]
        if not suite.has_length_grid:
            self._num_left_out[model.name, suite.name] = len(all_slots) - len(slots)
        name = f"{suite.name} {model.name}"
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
        if wanted := unanswered(store, sample_ids, self._settings.sampling.thinking_tokens):
            asyncio.run(self._ask(model, way, name, samples, wanted, store))
        records = [store[sample_id] for sample_id in sample_ids]
        self._tell_failures(name, records)
        return records

    async def _ask(
        self,
        model: EvaluatedModel,
        way: PrefixWay | None,
        name: str,
        samples: SampleSet,
        wanted: set[str],
        store: RecordStore,
    ) -> None:
        endpoint = self._endpoint
        client = EvaluationClient(self._settings, endpoint.url, endpoint.key, model.name, way)
        runner = Runner(
            client,
            store,
            self._settings.num_concurrent_requests,
            self._report,
            self._config.progress.log_interval_sec,
            name,
        )
        try:
            await runner.ask_all(samples.samples(wanted.__contains__), len(wanted))
        finally:
            await client.close()

    def _scoring(self, model: EvaluatedModel, suite: SampledSuite[Any], records: list[Record]) -> Scoring:
        return Scoring(
            model=model.name,
            settings=suite.within(self._settings, model),
            records=records,
            seed=self._config.seed,
            folder=record_folder(self._run, model.name, suite.name),
            report=self._report,
            num_left_out=self._num_left_out.get((model.name, suite.name), 0),
        )

    def _library(self, model: EvaluatedModel, suite: Suite[Any]) -> Any:
        assert isinstance(suite, LibrarySuite)
        folder = record_folder(self._run, model.name, suite.name)
        return suite.run(self._settings, model, self._endpoint, folder, self._report)

    def _tell_failures(self, name: str, records: list[Record]) -> None:
        reasons = Counter(record.error for record in records if record.error is not None)
        for reason, number in reasons.most_common():
            self._report(f"{name}: {number:,} of {len(records):,} requests failed: {reason}")
        if reasons and not self._settings.failures_count_as_wrong:
            self._report(
                f"{name}: what they belong to has no score; the same command asks them again, or "
                f"--evaluate.failures_count_as_wrong true counts them as wrong"
            )


def is_evaluated(config: RunConfig, run: Run) -> bool:
    """Whether the run has the whole report of just this evaluation."""
    folder = run.evaluation_report
    return folder.exists(ASKED_FILE) and EvaluationRecord.read(folder, ASKED_FILE) == _asked(config)


def _asked(config: RunConfig) -> EvaluationRecord:
    assert config.evaluate is not None
    return EvaluationRecord(**identity_of_evaluation(config), suites=list(config.evaluate.suites))
