"""The recall probe, as a suite."""

from collections.abc import Sequence

from app.config import EvaluateConfig
from app.tokens import Tokenizer
from eval.outcomes import count_outcomes
from eval.recall.maker import RecallMaker
from eval.recall.scores import RecallScore as RecallSuiteScore
from eval.recall.scores import followed, score_recall, write_scores
from eval.records import Record
from eval.report.contents import RecallResult, RecallScore
from eval.report.csv_files import recall_csv
from eval.report.labels import count_remarks
from eval.report.parts import Part, joined_remarks
from eval.report.tables import recall_table
from eval.samples import SampleMaker
from eval.suite import Prompts, SampledSuite, Scoring

NUM_PROMPTS = 6
"""Of a sample: facts and chains, each with the true context, a changed one and none."""


class RecallSuite(SampledSuite[RecallResult]):
    """Questions whose answer the context changes."""

    name = "recall"
    title = "Reasoning or recall"

    def make(self, settings: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> SampleMaker:
        """See `SampledSuite`."""
        return RecallMaker(settings, tokenizer, seed)

    def score(self, record: Record) -> float:
        """See `SampledSuite`."""
        if record.reply is None:
            return 0.0
        right = "memory" if record.facts["variant"] == "closed" else "context"
        return float(followed(record.facts, record.reply.text) == right)

    def result(self, scoring: Scoring) -> RecallResult:
        """See `SampledSuite`."""
        failures_count = scoring.settings.failures_count_as_wrong
        scores = score_recall(scoring.records, failures_count, scoring.seed)
        write_scores(scoring.folder, scores)
        counts = count_outcomes(scoring.records, len(scoring.records), failures_count)
        return RecallResult(scoring.model, [_shown(score) for score in scores], counts)

    def prompts(self, settings: EvaluateConfig) -> list[Prompts]:
        """See `Suite`."""
        recall = settings.recall
        per_length = NUM_PROMPTS * recall.num_samples
        return [Prompts(length, per_length, recall.max_output_tokens) for length in recall.lengths_tokens]

    def part(self, models: Sequence[str], results: list[RecallResult]) -> Part:
        """See `Suite`."""
        remarks = [(result.model, [*result.remarks, *count_remarks(result.counts)]) for result in results]
        return Part(
            suite=self.name,
            title=self.title,
            remarks=joined_remarks(remarks),
            tables=[recall_table(results)],
            csv_files={"recall.csv": recall_csv(results)},
        )


def _shown(score: RecallSuiteScore) -> RecallScore:
    means = {
        "true_context": score.true_followed,
        "follows_context": score.changed_followed,
        "follows_memory": score.changed_remembered,
        "follows_both": score.both_followed,
        "closed_book": score.closed_book,
    }
    return RecallScore(
        kind=score.kind,
        length_tokens=score.length_tokens,
        num_questions=score.num_questions,
        intervals={name: (mean.low, mean.high) for name, mean in means.items() if mean is not None},
        **{name: None if mean is None else mean.value for name, mean in means.items()},
    )
