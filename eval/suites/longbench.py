"""LongBench v2, as a suite."""

from dataclasses import replace
from typing import get_args

from app.config import EvaluateConfig, LongbenchLength
from app.tokens import Tokenizer
from eval.longbench.maker import LongbenchMaker
from eval.longbench.questions import DIFFICULTIES, read_questions
from eval.longbench.scores import chosen_letter
from eval.records import Record
from eval.report.contents import TasksResult
from eval.samples import SampleMaker
from eval.suite import Scoring
from eval.suites.tasks import QuestionsSuite, published_remark


class LongbenchSuite(QuestionsSuite):
    """Four choices about one long text: 503 questions that people wrote."""

    name = "longbench"
    title = "LongBench v2"

    def check(self, settings: EvaluateConfig) -> None:
        """See `Suite`."""
        read_questions(settings.longbench)

    def make(self, settings: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> SampleMaker:
        """See `SampledSuite`."""
        return LongbenchMaker(settings, tokenizer, seed)

    def score(self, record: Record) -> float:
        """See `SampledSuite`."""
        return float(record.reply is not None and chosen_letter(record.reply.text) == record.references[0])

    def result(self, scoring: Scoring) -> TasksResult:
        """See `SampledSuite`. Adds the published rows: all questions, by difficulty, and by words of the text."""
        found = super().result(scoring)
        remarks = list(found.remarks)
        if known := self.measured(scoring):
            rows = [
                ("overall", known),
                *((name, [each for each in known if each[0].task == name]) for name in DIFFICULTIES),
                *(
                    (name, [each for each in known if each[0].facts["words"] == name])
                    for name in get_args(LongbenchLength)
                ),
            ]
            remarks.append(published_remark([(name, [score for _, score in group]) for name, group in rows]))
        if num_cut := sum(record.facts["num_cut_tokens"] > 0 for record in scoring.records):
            limit = scoring.settings.longbench.max_prompt_tokens
            remarks.append(f"Prompts of more than {limit:,} tokens, which lost their middle: {num_cut:,}.")
        if num_open := sum(
            record.reply is not None and chosen_letter(record.reply.text) is None
            for record in scoring.records
        ):
            remarks.append(
                f"Replies that name no choice in the form that was asked for, and score 0: {num_open:,}."
            )
        return replace(found, remarks=remarks)
