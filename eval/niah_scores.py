"""Scores of the needle test. A cell's score is the mean of its trials, or a gap if one of them has none."""

from collections import Counter
from collections.abc import Iterable

from app.config import EvaluateConfig
from eval.niah import TASK
from eval.outcomes import count_outcomes
from eval.prefill_share import measured_prefill_share
from eval.records import Record
from eval.report.contents import NiahResult, Score, mean_score
from eval.scoring import mean_with_interval, string_match_all

Cell = tuple[float, int]
"""Depth in percent, length in tokens."""


def score_niah(model: str, config: EvaluateConfig, records: Iterable[Record]) -> NiahResult:
    """All cells of one model.

    A sample that failed counts as wrong where `failures_count_as_wrong` says so. One that was never asked never does:
    its cell is a gap.

    Args:
        model: What it is called.
        config: The grid.
        records: Records of the model; those outside the grid are skipped.
    """
    niah = config.niah
    lengths, depths = sorted(niah.lengths_tokens), sorted(niah.depths_percent)
    cells: dict[Cell, dict[int, Record]] = {(depth, length): {} for depth in depths for length in lengths}
    for record in records:
        trials = (
            cells.get((record.facts["depth_percent"], record.length_tokens)) if record.task == TASK else None
        )
        if trials is not None and record.facts["trial"] < niah.num_trials:
            trials[record.facts["trial"]] = record
    found = [record for trials in cells.values() for record in trials.values()]
    num_samples = len(cells) * niah.num_trials

    def score(cell: Cell) -> Score:
        records = cells[cell].values()
        scores = [_score(record, config.failures_count_as_wrong) for record in records]
        return mean_score([*scores, *[None] * (niah.num_trials - len(records))])

    def placed(cell: Cell) -> Score:
        return mean_score([record.facts["needle_depths_percent"][0] for record in cells[cell].values()])

    of_length: dict[int, list[Score]] = {
        length: [
            _score(record, config.failures_count_as_wrong)
            for depth in depths
            for record in cells[depth, length].values()
        ]
        for length in lengths
    }
    whole = len(depths) * niah.num_trials
    known = {length: [score for score in scores if score is not None] for length, scores in of_length.items()}
    means = {length: mean_with_interval([scores]) for length, scores in known.items() if len(scores) == whole}
    num_copies = Counter[int]()
    for record in found:
        num_copies[record.length_tokens] = max(num_copies[record.length_tokens], record.facts["num_copies"])
    return NiahResult(
        model=model,
        lengths_tokens=lengths,
        depths_percent=depths,
        scores=[[score((depth, length)) for length in lengths] for depth in depths],
        placed_percent=[[placed((depth, length)) for length in lengths] for depth in depths],
        counts=count_outcomes(found, num_samples, config.failures_count_as_wrong),
        num_copies={length: copies for length, copies in sorted(num_copies.items()) if copies > 1},
        prefill_share=measured_prefill_share(found),
        intervals={length: (mean.low, mean.high) for length, mean in means.items()},
        num_samples={length: len(scores) for length, scores in known.items()},
    )


def _score(record: Record, failures_count_as_wrong: bool) -> Score:
    if record.reply is None:
        return 0.0 if failures_count_as_wrong else None
    return 100 * string_match_all(record.reply.text, record.references)
