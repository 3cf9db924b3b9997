"""BABILong's form, as a suite."""

from app.config import EvaluateConfig
from app.tokens import Tokenizer
from eval.babilong.maker import BabilongMaker
from eval.babilong.scores import names_the_place
from eval.records import Record
from eval.samples import SampleMaker
from eval.suite import Prompts
from eval.suites.tasks import TasksSuite


class BabilongSuite(TasksSuite):
    """A story in a haystack, with 1 to 3 hops."""

    name = "babilong"
    title = "BABILong's form"
    remarks = (
        "Form and score are those of BABILong's qa1 to qa3, but the stories are drawn here: not to be compared with "
        "published scores.",
    )

    def make(self, settings: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> SampleMaker:
        """See `SampledSuite`."""
        return BabilongMaker(settings, tokenizer, seed)

    def score(self, record: Record) -> float:
        """See `SampledSuite`."""
        if record.reply is None:
            return 0.0
        return names_the_place(record.reply.text, record.references[0], record.facts["question"])

    def prompts(self, settings: EvaluateConfig) -> list[Prompts]:
        """See `Suite`."""
        babilong = settings.babilong
        num_prompts = len(babilong.hops) * babilong.num_samples
        return [
            Prompts(length, num_prompts, babilong.max_output_tokens) for length in babilong.lengths_tokens
        ]
