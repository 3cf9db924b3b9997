"""What suites share whose replies a judge scores."""

from collections.abc import Sequence
from dataclasses import replace

from app.config import EvaluateConfig
from app.storage import Folder
from eval.judge import judge_of, judge_records, known_verdicts, verdict_key
from eval.records import Record
from eval.report.contents import Answer, TasksResult
from eval.suite import Scoring
from eval.suites.tasks import QuestionsSuite

MAX_ANSWERS = 100
"""Answers of a model that a page lists; all are in the records."""
MAX_SHOWN_CHARS = 240


class JudgedSuite(QuestionsSuite):
    """A suite whose section has a judge, and whose page lists answers. Facts of its samples hold `question`."""

    def needs_judge(self, record: Record) -> bool:
        """Whether the judge scores the reply."""
        raise NotImplementedError

    def wanted(self, record: Record) -> Sequence[str]:
        """The right answers, as a page shows them."""
        return record.references

    def score_or_gap(self, record: Record, failures_count_as_wrong: bool) -> float | None:
        """See `TasksSuite`. A reply without a readable verdict is a gap."""
        is_judged = not self.needs_judge(record) or record.facts.get("judged") is not None
        if record.reply is not None and not is_judged:
            return 0.0 if failures_count_as_wrong else None
        return super().score_or_gap(record, failures_count_as_wrong)

    def judged(self, scoring: Scoring) -> list[Record]:
        """See `SampledSuite`."""
        to_judge = [record for record in scoring.records if self.needs_judge(record) and _has_text(record)]
        if to_judge:
            judge_records(scoring.settings, self.name, to_judge, scoring.folder, scoring.report)
        return [self.read_back(record, scoring.settings, scoring.folder) for record in scoring.records]

    def read_back(self, record: Record, settings: EvaluateConfig, folder: Folder) -> Record:
        """See `SampledSuite`."""
        if not self.needs_judge(record) or record.reply is None:
            return record
        if not _has_text(record):
            return replace(record, facts=record.facts | {"judged": 0.0})
        verdict = known_verdicts(folder).get(verdict_key(judge_of(settings, self.name), record))
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
            self.needs_judge(record) and _has_text(record) and record.facts.get("judged") is None
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
        percent = None if score is None else 100 * score
        wanted = " / ".join(self.wanted(record))
        return Answer(_short(record.facts["question"]), _short(wanted), _short(reply), percent)


def _has_text(record: Record) -> bool:
    return record.reply is not None and bool(record.reply.text.strip())


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[: MAX_SHOWN_CHARS - 1]}…"
