"""A user's own questions, as a suite."""

from collections.abc import Sequence

from app.config import EvaluateConfig
from app.tokens import Tokenizer
from eval.judge import check_judge
from eval.mine.maker import MineMaker
from eval.mine.metrics import letter_of, score_own
from eval.mine.questions import read_questions
from eval.records import Record
from eval.samples import SampleMaker
from eval.suites.judged import JudgedSuite


class MineSuite(JudgedSuite):
    """Any questions, from a JSONL file."""

    name = "mine"
    title = "Own questions"

    def check(self, settings: EvaluateConfig) -> None:
        """See `Suite`."""
        if any(question.metric == "judge" for question in read_questions(settings.mine)):
            check_judge(settings, self.name)

    def make(self, settings: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> SampleMaker:
        """See `SampledSuite`."""
        return MineMaker(settings, tokenizer, seed)

    def score(self, record: Record) -> float:
        """See `SampledSuite`. What a judge has not judged scores 0."""
        if record.reply is None:
            return 0.0
        if self.needs_judge(record):
            return float(record.facts.get("judged") or 0.0)
        return score_own(
            record.facts["metric"], record.reply.text, record.references, record.facts["choices"]
        )

    def needs_judge(self, record: Record) -> bool:
        """See `JudgedSuite`."""
        return bool(record.facts["metric"] == "judge")

    def wanted(self, record: Record) -> Sequence[str]:
        """See `JudgedSuite`."""
        choices: Sequence[str] = record.facts["choices"]
        if not choices:
            return record.references
        letters = [letter_of(each, choices) for each in record.references]
        return [f"{letter}. {choices[ord(letter) - ord('A')]}" for letter in letters]
