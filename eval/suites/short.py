"""Short tasks, as a suite."""

from collections.abc import Callable, Sequence

from app.config import EvaluateConfig
from app.storage import Folder
from eval.models import EvaluatedModel
from eval.report.contents import ShortResult, ShortScore
from eval.report.csv_files import short_csv
from eval.report.parts import Part, joined_remarks
from eval.report.tables import result_of, short_table
from eval.short.scores import ShortScores
from eval.short.suite import run_short
from eval.suite import Endpoint, LibrarySuite, Prompts


class ShortSuite(LibrarySuite[ShortResult]):
    """Any of lm-eval's tasks."""

    name = "short"
    title = "Short tasks"

    def run(
        self,
        settings: EvaluateConfig,
        model: EvaluatedModel,
        endpoint: Endpoint,
        folder: Folder,
        report: Callable[[str], None],
    ) -> ShortResult:
        """See `LibrarySuite`."""
        return short_result(
            run_short(settings, model.name, model.tokenizer, endpoint.url, endpoint.key, folder, report)
        )

    def prompts(self, settings: EvaluateConfig) -> list[Prompts]:
        """None are known: their number is lm-eval's, and they are short."""
        return []

    def part(self, models: Sequence[str], results: list[ShortResult]) -> Part:
        """See `Suite`."""
        return Part(
            suite=self.name,
            title=self.title,
            remarks=joined_remarks([(result.model, result.remarks) for result in results]),
            tables=[short_table(results, result_of(models[0], results))],
            csv_files={"short.csv": short_csv(results)},
        )


def short_result(scores: ShortScores) -> ShortResult:
    """One model's short tasks, in percent."""
    return ShortResult(
        scores.model,
        [
            ShortScore(
                task=score.task,
                metric=score.metric,
                score=100 * score.score,
                standard_error=None if score.stderr is None else 100 * score.stderr,
                num_samples=score.num_samples,
            )
            for score in scores.headlines
        ],
        scores.remarks,
    )
