"""MRCR, as a suite."""

from app.config import EvaluateConfig
from app.tokens import Tokenizer
from eval.mrcr.maker import PREFIX_TOKENS, MrcrMaker
from eval.mrcr.scores import match_ratio
from eval.records import Record
from eval.samples import SampleMaker
from eval.suite import Prompts
from eval.suites.tasks import TasksSuite


class MrcrSuite(TasksSuite):
    """One of several like turns of a long chat."""

    name = "mrcr"
    title = "MRCR"
    remarks = (
        "Score and question are those of openai/mrcr, but the chats are made of public-domain prose: not to be "
        "compared with published scores. Chance is the score of copying any of the needles.",
    )

    def make(self, settings: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> SampleMaker:
        """See `SampledSuite`."""
        return MrcrMaker(settings, tokenizer, seed)

    def score(self, record: Record) -> float:
        """See `SampledSuite`."""
        if record.reply is None:
            return 0.0
        return match_ratio(record.reply.text, record.references[0], record.facts["prefix"])

    def prompts(self, settings: EvaluateConfig) -> list[Prompts]:
        """See `Suite`."""
        mrcr = settings.mrcr
        num_prompts = len(mrcr.num_needles) * mrcr.num_samples
        output_tokens = mrcr.reply_tokens + PREFIX_TOKENS
        return [Prompts(length, num_prompts, output_tokens) for length in mrcr.lengths_tokens]
