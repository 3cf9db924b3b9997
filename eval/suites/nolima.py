"""NoLiMa's form, as a suite."""

from app.config import EvaluateConfig
from app.tokens import Tokenizer
from eval.nolima.maker import NolimaMaker
from eval.records import Record
from eval.samples import SampleMaker
from eval.scoring import string_match_all
from eval.suite import Prompts
from eval.suites.tasks import TasksSuite


class NolimaSuite(TasksSuite):
    """A needle without a word of content in common with its question."""

    name = "nolima"
    title = "NoLiMa's form"
    remarks = (
        "Form and score are NoLiMa's, but needles and haystack are ours: not to be compared with published scores.",
    )

    def make(self, settings: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> SampleMaker:
        """See `SampledSuite`."""
        return NolimaMaker(settings, tokenizer, seed)

    def score(self, record: Record) -> float:
        """See `SampledSuite`."""
        return string_match_all(record.reply.text, record.references) if record.reply is not None else 0.0

    def prompts(self, settings: EvaluateConfig) -> list[Prompts]:
        """See `Suite`."""
        nolima = settings.nolima
        num_prompts = len(nolima.tasks) * nolima.num_samples
        return [Prompts(length, num_prompts, nolima.max_output_tokens) for length in nolima.lengths_tokens]
