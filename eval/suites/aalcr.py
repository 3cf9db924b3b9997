"""AA-LCR, as a suite."""

from dataclasses import replace

from app.config import EvaluateConfig
from app.tokens import Tokenizer
from eval.aalcr.maker import AalcrMaker
from eval.aalcr.questions import Documents, read_questions
from eval.judge import check_judge
from eval.records import Record
from eval.report.contents import TasksResult
from eval.samples import SampleMaker
from eval.suite import Scoring
from eval.suites.judged import JudgedSuite
from eval.suites.tasks import published_remark


class AalcrSuite(JudgedSuite):
    """Questions that take several real documents, and a judge that compares the reply with the right answer."""

    name = "aalcr"
    title = "AA-LCR"

    def check(self, settings: EvaluateConfig) -> None:
        """See `Suite`."""
        Documents(settings.aalcr).check(read_questions(settings.aalcr))
        check_judge(settings, self.name)

    def make(self, settings: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> SampleMaker:
        """See `SampledSuite`."""
        return AalcrMaker(settings, tokenizer, seed)

    def score(self, record: Record) -> float:
        """See `SampledSuite`. What the judge has not judged scores 0."""
        return float(record.facts.get("judged") or 0.0) if record.reply is not None else 0.0

    def needs_judge(self, record: Record) -> bool:
        """See `JudgedSuite`."""
        return True

    def result(self, scoring: Scoring) -> TasksResult:
        """See `SampledSuite`. Adds the published figure, which is over all questions, and who judged."""
        found = super().result(scoring)
        remarks = list(found.remarks)
        if known := self.measured(scoring):
            remarks.append(published_remark([("accuracy", [score for _, score in known])]))
        remarks.append(
            f"{scoring.settings.aalcr.judge.model} judged. Published figures rest on another judge or on several "
            f"replies to each question, so a few points more or less say nothing."
        )
        return replace(found, remarks=remarks)
