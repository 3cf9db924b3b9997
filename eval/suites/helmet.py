"""HELMET, as a suite."""

from dataclasses import replace

from app.config import EvaluateConfig
from app.quantities import length_label
from app.tokens import Tokenizer
from eval.helmet.definitions import CATEGORIES, TASKS
from eval.helmet.maker import HelmetMaker
from eval.helmet.rows import Rows, data_file
from eval.helmet.scores import score_reply
from eval.records import Record
from eval.report.contents import TasksResult
from eval.samples import SampleMaker
from eval.suite import Prompts, Scoring
from eval.suites.tasks import TasksSuite


class HelmetSuite(TasksSuite):
    """Recall, answers from documents and re-ranking: the categories of HELMET whose data are in its files."""

    name = "helmet"
    title = "HELMET"
    remarks = (
        "These are three of HELMET's seven categories; a mean over all tasks is not its published mean. Citations need "
        "a model that judges entailment; questions on books, summaries and in-context learning need data that are not "
        "in its files.",
    )

    def check(self, settings: EvaluateConfig) -> None:
        """See `Suite`."""
        helmet = settings.helmet
        for task in (TASKS[name] for name in helmet.tasks or TASKS):
            for file in [*map(task.file, helmet.lengths_tokens), *([task.demos] if task.demos else [])]:
                Rows(data_file(helmet, file)).check()

    def make(self, settings: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> SampleMaker:
        """See `SampledSuite`."""
        return HelmetMaker(settings, tokenizer, seed)

    def prompts(self, settings: EvaluateConfig) -> list[Prompts]:
        """See `Suite`. The number of rows is that of the published files."""
        helmet = settings.helmet
        tasks = [TASKS[name] for name in helmet.tasks or TASKS]
        num_prompts = sum(helmet.num_samples * task.num_rows_each for task in tasks)
        output_tokens = round(sum(task.max_output_tokens for task in tasks) / len(tasks))
        return [Prompts(length, num_prompts, output_tokens) for length in helmet.lengths_tokens]

    def score(self, record: Record) -> float:
        """See `SampledSuite`."""
        if record.reply is None:
            return 0.0
        facts = record.facts
        return score_reply(
            TASKS[record.task], facts["start"] + record.reply.text, record.references, facts.get("relevance")
        )

    def result(self, scoring: Scoring) -> TasksResult:
        """See `SampledSuite`. Adds the published figures: of each category, the mean of its tasks."""
        found = super().result(scoring)
        scores = {(each.task, each.length_tokens): each.score for each in found.scores}
        remarks = list(found.remarks)
        if scoring.settings.template == "chat":
            remarks.append(
                "HELMET's own configurations ask these tasks as plain text, of chat models too; that is "
                "evaluate.template base. Here prompts stood in the model's chat template."
            )
        for length in scoring.settings.helmet.lengths_tokens:
            parts = []
            for category in CATEGORIES:
                known = [
                    scores.get((task.name, length)) for task in TASKS.values() if task.category == category
                ]
                values = [score for score in known if score is not None]
                if len(values) == len(known):
                    parts.append(f"{category} {sum(values) / len(values):.1f} %")
            if parts:
                remarks.append(f"As published, at {length_label(length)} tokens: {'; '.join(parts)}.")
        return replace(found, remarks=remarks)
