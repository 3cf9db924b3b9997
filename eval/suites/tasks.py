"""What suites share whose scores are means by task and length."""

from collections import defaultdict
from collections.abc import Sequence

from app.config import EvaluateConfig
from eval.outcomes import count_outcomes
from eval.records import Record
from eval.report.contents import TaskScore, TasksResult
from eval.report.csv_files import tasks_csv
from eval.report.labels import count_remarks
from eval.report.parts import Part, joined_remarks
from eval.report.tables import MEAN_OF_TASKS, answers_table, tasks_table
from eval.scoring import mean_with_interval
from eval.suite import Prompts, SampledSuite, Scoring

SHORTEST_CELL_TOKENS = 1024
"""Of suites whose samples are of any length."""
_Cell = dict[str, list[float | None]]
"""Task → scores in percent; None: not measured."""


class TasksSuite(SampledSuite[TasksResult]):
    """A suite that only says how its samples are made and how one record scores.

    The facts of a sample may hold `chance`, the score in [0, 1] that guessing reaches on average.
    """

    remarks: tuple[str, ...] = ()
    """What must be known of the numbers of every model, such as a difference to a published protocol."""

    def score_or_gap(self, record: Record, failures_count_as_wrong: bool) -> float | None:
        """Score of one record in [0, 1]; None: it was not measured."""
        if record.reply is None:
            return 0.0 if failures_count_as_wrong else None
        return self.score(record)

    def measured(self, scoring: Scoring) -> list[tuple[Record, float]]:
        """All records with their scores in [0, 1]; empty if one of them was not measured."""
        failures_count = scoring.settings.failures_count_as_wrong
        scores = [(record, self.score_or_gap(record, failures_count)) for record in scoring.records]
        known = [(record, score) for record, score in scores if score is not None]
        return known if len(known) == len(scores) else []

    def cell_tokens(self, record: Record) -> int:
        """The length under which a table has a record."""
        return record.length_tokens

    def result(self, scoring: Scoring) -> TasksResult:
        """See `SampledSuite`."""
        failures_count = scoring.settings.failures_count_as_wrong
        cells: dict[int, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
        for record in scoring.records:
            cells[self.cell_tokens(record)][record.task].append(record)
        tasks = list(dict.fromkeys(record.task for record in scoring.records))
        scores = []
        for length, of_task in sorted(cells.items()):
            percents: _Cell = {
                task: [_percent(self.score_or_gap(record, failures_count)) for record in of_task[task]]
                for task in tasks
                if task in of_task
            }
            chances = {task: _chance(of_task[task]) for task in percents}
            scores += [
                _task_score(task, length, [values], [chances[task]], scoring.seed)
                for task, values in percents.items()
            ]
            if len(tasks) > 1 and len(percents) == len(tasks):
                values = list(percents.values())
                scores.append(
                    _task_score(MEAN_OF_TASKS, length, values, list(chances.values()), scoring.seed)
                )
        order = [*tasks, MEAN_OF_TASKS]
        return TasksResult(
            model=scoring.model,
            scores=sorted(scores, key=lambda score: order.index(score.task)),
            counts=count_outcomes(scoring.records, len(scoring.records), failures_count),
            remarks=[*self.remarks, *_left_out(scoring)],
        )

    def part(self, models: Sequence[str], results: list[TasksResult]) -> Part:
        """See `Suite`."""
        remarks = [(result.model, [*result.remarks, *count_remarks(result.counts)]) for result in results]
        return Part(
            suite=self.name,
            title=self.title,
            remarks=joined_remarks(remarks),
            tables=[
                tasks_table(self.title, results),
                *(answers_table(result) for result in results if result.answers),
            ],
            terminal_tables=[tasks_table(self.title, results, has_intervals=False)],
            csv_files={f"{self.name}.csv": tasks_csv(results)},
        )


class QuestionsSuite(TasksSuite):
    """A suite whose questions come from a user's file, each as long as it is. Facts hold `num_prompt_tokens`."""

    has_length_grid = False

    def prompts(self, settings: EvaluateConfig) -> list[Prompts]:
        """None are known before the file is read with a model's tokenizer."""
        return []

    def cell_tokens(self, record: Record) -> int:
        """See `TasksSuite`."""
        return next_power_of_two(record.facts["num_prompt_tokens"])


def next_power_of_two(num_tokens: int) -> int:
    """The cell of a sample of so many tokens, where lengths are not set."""
    return max(1 << (num_tokens - 1).bit_length(), SHORTEST_CELL_TOKENS)


def published_remark(rows: Sequence[tuple[str, Sequence[float]]]) -> str:
    """The means that a benchmark publishes, of scores in [0, 1] by name; those of no samples are left out."""
    parts = [
        f"{name} {100 * sum(scores) / len(scores):.1f} % of {len(scores):,}"
        for name, scores in rows
        if scores
    ]
    return f"As published: {'; '.join(parts)}."


def _left_out(scoring: Scoring) -> list[str]:
    if not scoring.num_left_out:
        return []
    num_all = scoring.num_left_out + len(scoring.records)
    return [
        f"{scoring.num_left_out:,} of {num_all:,} samples are longer than the model reads, and were not asked."
    ]


def _task_score(
    task: str, length_tokens: int, groups: list[list[float | None]], chances: list[float | None], seed: int
) -> TaskScore:
    num_samples = sum(map(len, groups))
    known = [[value for value in group if value is not None] for group in groups]
    is_whole = sum(map(len, known)) == num_samples
    mean = mean_with_interval(known, seed) if is_whole else None
    guessed = [chance for chance in chances if chance is not None]
    return TaskScore(
        task=task,
        length_tokens=length_tokens,
        score=None if mean is None else mean.value,
        interval=None if mean is None else (mean.low, mean.high),
        num_samples=num_samples,
        chance=sum(guessed) / len(guessed) if guessed and len(guessed) == len(chances) else None,
    )


def _chance(records: Sequence[Record]) -> float | None:
    found = [record.facts.get("chance") for record in records]
    known = [100 * chance for chance in found if chance is not None]
    return sum(known) / len(known) if len(known) == len(found) else None


def _percent(score: float | None) -> float | None:
    return None if score is None else 100 * score
