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
from eval.suite import Prompts
from eval.suites.judged import JudgedSuite
from eval.suites.tasks import next_power_of_two


class MineSuite(JudgedSuite):
    """Any questions, from a JSONL file."""

    name = "mine"
    title = "Own questions"
    has_length_grid = False

    def check(self, settings: EvaluateConfig) -> None:
        """See `Suite`."""
        if any(question.metric == "judge" for question in read_questions(settings.mine)):
            check_judge(settings, self.name)

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
        if self.needs_judge(record):
            return float(record.facts.get("judged") or 0.0)
        return score_own(
            record.facts["metric"], record.reply.text, record.references, record.facts["choices"]
        )

    def cell_tokens(self, record: Record) -> int:
        """See `TasksSuite`."""
        return next_power_of_two(record.facts["num_prompt_tokens"])

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
