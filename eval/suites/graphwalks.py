"""GraphWalks, as a suite."""

from app.config import EvaluateConfig
from app.tokens import Tokenizer
from eval.graphwalks.maker import GraphWalksMaker
from eval.graphwalks.scores import set_f1
from eval.records import Record
from eval.samples import SampleMaker
from eval.suite import Prompts
from eval.suites.tasks import TasksSuite


class GraphWalksSuite(TasksSuite):
    """Breadth-first search and parents in a long list of edges."""

    name = "graphwalks"
    title = "GraphWalks"
    remarks = (
        "Prompt, tasks and score (F1) are those of openai/graphwalks, but the graphs are drawn here: not to be "
        "compared with published scores. Guessing scores next to nothing.",
    )

    def make(self, settings: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> SampleMaker:
        """See `SampledSuite`."""
        return GraphWalksMaker(settings, tokenizer, seed)

    def score(self, record: Record) -> float:
        """See `SampledSuite`."""
        return set_f1(record.reply.text, record.references) if record.reply is not None else 0.0

    def prompts(self, settings: EvaluateConfig) -> list[Prompts]:
        """See `Suite`."""
        walks = settings.graphwalks
        num_prompts = len(walks.tasks) * walks.num_samples
        return [Prompts(length, num_prompts, walks.max_output_tokens) for length in walks.lengths_tokens]
