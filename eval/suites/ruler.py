"""RULER, as a suite."""

from collections.abc import Sequence

from app.config import EvaluateConfig
from app.tokens import Tokenizer
from eval.outcomes import count_outcomes
from eval.records import Record
from eval.report.contents import Interval, RulerResult
from eval.report.csv_files import ruler_means_csv, ruler_tasks_csv
from eval.report.labels import copies_remark, count_remarks
from eval.report.parts import Part, Picture, joined_remarks
from eval.report.ruler_curves import draw_ruler
from eval.report.ruler_tables import ruler_difference_table, ruler_means_table, ruler_task_table
from eval.report.tables import result_of
from eval.ruler.definitions import TASKS
from eval.ruler.maker import RulerMaker
from eval.ruler.published import PUBLISHED, PUBLISHED_DIFFER
from eval.ruler.scores import EFFECTIVE_ABOVE, RulerScores, record_score, score_ruler
from eval.ruler.variants import VARIANTS
from eval.samples import SampleMaker
from eval.scoring import Mean
from eval.suite import Prompts, SampledSuite, Scoring

PICTURE = "ruler.png"
PUBLISHED_SAMPLES = 500
"""Samples per task and length in RULER's README and papers."""


class RulerSuite(SampledSuite[RulerResult]):
    """The 13 tasks of RULER."""

    name = "ruler"
    title = "RULER"

    def make(self, settings: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> SampleMaker:
        """See `SampledSuite`."""
        return RulerMaker(settings, tokenizer, seed)

    def score(self, record: Record) -> float:
        """See `SampledSuite`."""
        return record_score(record)

    def result(self, scoring: Scoring) -> RulerResult:
        """See `SampledSuite`."""
        return ruler_result(scoring.model, scoring.settings, scoring.records, scoring.seed)

    def prompts(self, settings: EvaluateConfig) -> list[Prompts]:
        """See `Suite`."""
        ruler = settings.ruler
        tasks = [TASKS[name] for name in ruler.tasks or TASKS]
        output_tokens = round(sum(task.max_output_tokens for task in tasks) / len(tasks))
        return [
            Prompts(length, len(tasks) * ruler.num_samples, output_tokens) for length in ruler.lengths_tokens
        ]

    def part(self, models: Sequence[str], results: list[RulerResult]) -> Part:
        """See `Suite`."""
        base = result_of(models[0], results)
        published, threshold = results[0].published, results[0].threshold
        tables = [ruler_means_table(results, base, published)]
        for result in results:
            tables.append(ruler_task_table(result))
            if base is not None and result is not base:
                tables.append(ruler_difference_table(result, base))
        remarks = [
            (
                result.model,
                [*result.remarks, *count_remarks(result.counts), *copies_remark(result.num_copies)],
            )
            for result in results
        ]

        def draw() -> bytes:
            return draw_ruler(results, base, published, threshold)

        return Part(
            suite=self.name,
            title=self.title,
            remarks=joined_remarks(remarks),
            tables=tables,
            terminal_tables=[
                ruler_means_table(results, base, published, has_intervals=False),
                *(ruler_task_table(result, has_intervals=False) for result in results),
            ],
            csv_files={
                "ruler_tasks.csv": ruler_tasks_csv(results),
                "ruler_means.csv": ruler_means_csv(results),
            },
            file=PICTURE,
            draw_file=draw,
            pictures=[
                Picture("RULER means by length, with their confidence bands, beside published ones", draw)
            ],
        )


def ruler_result(model: str, settings: EvaluateConfig, records: Sequence[Record], seed: int) -> RulerResult:
    """RULER's scores of one model.

    Args:
        model: What it is called.
        settings: Tasks and lengths, without those that the model cannot read.
        records: Records of all samples.
        seed: Seed of the confidence intervals.
    """
    ruler = settings.ruler
    tasks = ruler.tasks or list(TASKS)
    expected = {(task, length): ruler.num_samples for length in ruler.lengths_tokens for task in tasks}
    scores = score_ruler(records, expected, settings.failures_count_as_wrong, seed)
    means = {length: mean for length, mean in scores.means.items() if mean is not None}
    is_comparable = not protocol_differences(settings)
    return RulerResult(
        model=model,
        lengths_tokens=scores.lengths_tokens,
        scores={
            task: {length: _value(scores.cells[task, length].score) for length in scores.lengths_tokens}
            for task in scores.tasks
        },
        means={length: _value(mean) for length, mean in scores.means.items()},
        counts=count_outcomes(records, sum(expected.values()), settings.failures_count_as_wrong),
        intervals={length: (mean.low, mean.high) for length, mean in means.items()},
        weighted_means={
            "mean": scores.mean,
            "weighted to the longer": scores.mean_increasing,
            "weighted to the shorter": scores.mean_decreasing,
        },
        effective_length_tokens=scores.effective_length_tokens if scores.is_comparable else None,
        task_intervals={task: _task_intervals(scores, task) for task in scores.tasks},
        num_samples=ruler.num_samples,
        num_copies=_num_copies(records),
        remarks=ruler_remarks(settings),
        published=PUBLISHED if is_comparable else (),
        threshold=EFFECTIVE_ABOVE if is_comparable else None,
    )


def _task_intervals(scores: RulerScores, task: str) -> dict[int, Interval]:
    found = {length: scores.cells[task, length].score for length in scores.lengths_tokens}
    return {length: (mean.low, mean.high) for length, mean in found.items() if mean is not None}


def protocol_differences(settings: EvaluateConfig) -> list[str]:
    """In what our prompts and means differ from those of published rows; empty: they may stand side by side."""
    ruler, sampling = settings.ruler, settings.sampling
    tasks = ruler.tasks or list(TASKS)
    differs = {
        f"means are over {len(tasks)} of the {len(TASKS)} tasks": set(tasks) != set(TASKS),
        "the haystack is not RULER's": ruler.haystack is not None,
        "evaluate.ruler.data may hold other texts": ruler.data is not None,
        "prompts were sent as chats": settings.api != "completions",
        "replies were sampled": bool(sampling.temperature) or sampling.top_p is not None,
        "replies had tokens for thought": sampling.thinking_tokens > 0,
    }
    return [words for words, is_so in differs.items() if is_so]


def ruler_remarks(settings: EvaluateConfig) -> list[str]:
    """What must be known before means are compared with published ones."""
    says = VARIANTS[settings.ruler.protocol].says
    named = [f"The protocol is {says}."] if says else []
    differences = protocol_differences(settings)
    if differences:
        return [
            *named,
            f"No published rows are shown, as the protocol differs: {'; '.join(differences)}.",
        ]
    few = settings.ruler.num_samples
    remarks = [] if settings.ruler.protocol == 2024 else [PUBLISHED_DIFFER]
    if few < PUBLISHED_SAMPLES:
        remarks.append(
            f"Published rows are over {PUBLISHED_SAMPLES} samples per task and length; these are over {few}."
        )
    return named + remarks


def _num_copies(records: Sequence[Record]) -> dict[int, int]:
    """The most copies of a text at each length, of prose alone: lines of noise are repeated on purpose."""
    found: dict[int, int] = {}
    for record in records:
        if record.task not in ("niah_single_1", "vt") and record.facts.get("num_copies", 1) > 1:
            found[record.length_tokens] = max(found.get(record.length_tokens, 1), record.facts["num_copies"])
    return dict(sorted(found.items()))


def _value(mean: Mean | None) -> float | None:
    return None if mean is None else mean.value
