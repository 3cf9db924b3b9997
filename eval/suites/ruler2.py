"""RULERv2, as a suite."""

from app.config import EvaluateConfig
from app.tokens import Tokenizer
from eval.records import Record
from eval.ruler2.maker import Ruler2Maker
from eval.ruler2.questions import read_questions
from eval.ruler2.scores import score_reply
from eval.samples import SampleMaker
from eval.suites.tasks import QuestionsSuite, next_power_of_two


class Ruler2Suite(QuestionsSuite):
    """Finding, copying and solving one of many questions or documents: 12 tasks of four degrees of difficulty."""

    name = "ruler2"
    title = "RULERv2"
    remarks = (
        "Prompts and scores are NVIDIA's, whose figure of a length is the mean of all 12 tasks. A length counts the "
        "prompt alone, without template and reply, as `ns prepare_data ruler2` does.",
    )

    def check(self, settings: EvaluateConfig) -> None:
        """See `Suite`."""
        read_questions(settings.ruler2)

    def make(self, settings: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> SampleMaker:
        """See `SampledSuite`."""
        return Ruler2Maker(settings, tokenizer, seed)

    def score(self, record: Record) -> float:
        """See `SampledSuite`."""
        if record.reply is None:
            return 0.0
        return score_reply(record.task, record.reply.text, record.references)

    def cell_tokens(self, record: Record) -> int:
        """See `TasksSuite`. All samples of a setup stand under its length."""
        return next_power_of_two(record.facts["setup_tokens"])
