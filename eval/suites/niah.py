"""Needle in a haystack, as a suite."""

from collections.abc import Sequence

from app.config import EvaluateConfig
from app.quantities import length_labels
from app.tokens import Tokenizer
from eval.niah import NiahMaker
from eval.niah_scores import score_niah
from eval.records import Record
from eval.report.contents import NiahResult
from eval.report.csv_files import niah_csv
from eval.report.labels import copies_remark, count_remarks, depth_label
from eval.report.niah_heatmap import draw_niah
from eval.report.parts import Grid, Part, Picture, joined_remarks
from eval.report.tables import niah_means_table, niah_table
from eval.samples import SampleMaker
from eval.scoring import string_match_all
from eval.suite import Prompts, SampledSuite, Scoring

PICTURE = "niah.png"


class NiahSuite(SampledSuite[NiahResult]):
    """A grid of lengths × depths."""

    name = "niah"
    title = "Needle in a haystack"

    def make(self, settings: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> SampleMaker:
        """See `SampledSuite`."""
        return NiahMaker(settings, tokenizer, seed)

    def score(self, record: Record) -> float:
        """See `SampledSuite`."""
        return string_match_all(record.reply.text, record.references) if record.reply is not None else 0.0

    def result(self, scoring: Scoring) -> NiahResult:
        """See `SampledSuite`."""
        return score_niah(scoring.model, scoring.settings, scoring.records)

    def prompts(self, settings: EvaluateConfig) -> list[Prompts]:
        """See `Suite`."""
        niah = settings.niah
        per_length = len(niah.depths_percent) * niah.num_trials
        return [Prompts(length, per_length, niah.max_output_tokens) for length in niah.lengths_tokens]

    def part(self, models: Sequence[str], results: list[NiahResult]) -> Part:
        """See `Suite`."""
        return Part(
            suite=self.name,
            title=self.title,
            remarks=joined_remarks([(result.model, remarks_of_niah(result)) for result in results]),
            tables=[niah_means_table(results), *(niah_table(result) for result in results)],
            # The grids are pictures already, or cells.
            num_open_tables=0,
            terminal_tables=[niah_means_table(results)],
            grids=[_grid(result) for result in results],
            csv_files={"niah.csv": niah_csv(results)},
            file=PICTURE,
            draw_file=lambda: draw_niah(results),
            pictures=[_picture(result) for result in results],
        )


def remarks_of_niah(result: NiahResult) -> list[str]:
    """What must be known of one model's grid."""
    remarks = count_remarks(result.counts) + copies_remark(result.num_copies)
    if result.prefill_share is not None:
        remarks.append(
            f"The server computed {result.prefill_share:.0%} of the prompts' tokens, and had the rest cached."
        )
    return remarks


def _grid(result: NiahResult) -> Grid:
    rows = [
        (depth_label(depth), row) for depth, row in zip(result.depths_percent, result.scores, strict=True)
    ]
    return Grid(result.model, length_labels(result.lengths_tokens), rows)


def _picture(result: NiahResult) -> Picture:
    return Picture(f"Needles that {result.model} found, by depth and length", lambda: draw_niah([result]))
