"""A user's own questions, as a suite."""

from collections.abc import Sequence
from dataclasses import replace

from app.config import EvaluateConfig
from app.storage import Folder
from app.tokens import Tokenizer
from eval.mine.judge import check_judge, judge_records, known_verdicts, verdict_key
from eval.mine.maker import MineMaker
from eval.mine.metrics import letter_of, score_own
from eval.mine.questions import read_questions
from eval.records import Record
from eval.report.contents import Answer, TasksResult
from eval.samples import SampleMaker
from eval.suite import Prompts, Scoring
from eval.suites.tasks import TasksSuite, next_power_of_two

MAX_ANSWERS = 100
"""Answers of a model that a page lists; all are in the records."""
MAX_SHOWN_CHARS = 240


class MineSuite(TasksSuite):
    """Any questions, from a JSONL file."""

    name = "mine"
    title = "Own questions"
    has_length_grid = False

    def check(self, settings: EvaluateConfig) -> None:
        """See `Suite`."""
        if any(question.metric == "judge" for question in read_questions(settings.mine)):
            check_judge(settings.mine.judge)

    def make(self, settings: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> SampleMaker:
        """See `SampledSuite`."""
        return MineMaker(settings, tokenizer, seed)

    def prompts(self, settings: EvaluateConfig) -> list[Prompts]:
        """None are known before the file is read with a model's tokenizer."""
        return []

    def score(self, record: Record) -> float:
        """See `SampledSuite`. What a judge has not judged scores 0."""
        if record.reply is None:
            return 0.0
        metric = record.facts["metric"]
        if metric == "judge":
            return float(record.facts.get("judged") or 0.0)
        return score_own(metric, record.reply.text, record.references, record.facts["choices"])

    def score_or_gap(self, record: Record, failures_count_as_wrong: bool) -> float | None:
        """See `TasksSuite`. A reply without a readable verdict is a gap."""
        is_judged = record.facts["metric"] != "judge" or record.facts.get("judged") is not None
        if record.reply is not None and not is_judged:
            return 0.0 if failures_count_as_wrong else None
        return super().score_or_gap(record, failures_count_as_wrong)

    def cell_tokens(self, record: Record) -> int:
        """See `TasksSuite`."""
        return next_power_of_two(record.facts["num_prompt_tokens"])

    def judged(self, scoring: Scoring) -> list[Record]:
        """See `SampledSuite`."""
        to_judge = [record for record in scoring.records if _needs_judge(record) and _has_text(record)]
        if to_judge:
            judge_records(scoring.settings, to_judge, scoring.folder, scoring.report)
        return [self.read_back(record, scoring.settings, scoring.folder) for record in scoring.records]

    def read_back(self, record: Record, settings: EvaluateConfig, folder: Folder) -> Record:
        """See `SampledSuite`."""
        if not _needs_judge(record) or record.reply is None:
            return record
        if not _has_text(record):
            return replace(record, facts=record.facts | {"judged": 0.0})
        verdict = known_verdicts(folder).get(verdict_key(settings.mine.judge, record))
        if verdict is None:
            return record
        return replace(record, facts=record.facts | {"judged": verdict.score, "verdict": verdict.said})

    def result(self, scoring: Scoring) -> TasksResult:
        """See `SampledSuite`."""
        found = super().result(scoring)
        failures_count = scoring.settings.failures_count_as_wrong
        answers = [
            self._answer(record, self.score_or_gap(record, failures_count))
            for record in scoring.records[:MAX_ANSWERS]
        ]
        remarks = list(found.remarks)
        if num_unread := sum(
            _needs_judge(record) and _has_text(record) and record.facts.get("judged") is None
            for record in scoring.records
        ):
            remarks.append(
                f"{num_unread:,} replies have no verdict that could be read; the same command asks the judge again."
            )
        if (num_more := len(scoring.records) - MAX_ANSWERS) > 0:
            remarks.append(
                f"The first {MAX_ANSWERS} answers are listed; {num_more:,} more are in the records."
            )
        return replace(found, answers=answers, remarks=remarks)

    def _answer(self, record: Record, score: float | None) -> Answer:
        reply = record.reply.text if record.reply is not None else f"(failed: {record.error})"
        choices: Sequence[str] = record.facts["choices"]
        wanted = [
            f"{letter_of(each, choices)}. {choices[ord(letter_of(each, choices)) - ord('A')]}"
            if choices
            else each
            for each in record.references
        ]
        percent = None if score is None else 100 * score
        return Answer(_short(record.facts["question"]), _short(" / ".join(wanted)), _short(reply), percent)


def _needs_judge(record: Record) -> bool:
    return bool(record.facts["metric"] == "judge")


def _has_text(record: Record) -> bool:
    return record.reply is not None and bool(record.reply.text.strip())


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[: MAX_SHOWN_CHARS - 1]}…"
