"""The report's parts in order: what each suite shows in any format."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from eval.report.contents import NiahResult, ReportContents
from eval.report.labels import copies_remark, count_remarks
from eval.report.niah_heatmap import draw_niah
from eval.report.ruler_curves import draw_ruler
from eval.report.ruler_tables import ruler_difference_table, ruler_means_table, ruler_task_table
from eval.report.tables import Table, niah_means_table, niah_table, recall_table, result_of, short_table

Suite = Literal["niah", "ruler", "short", "recall"]
NIAH_PICTURE, RULER_PICTURE = "niah.png", "ruler.png"


@dataclass(frozen=True, slots=True)
class Picture:
    """Drawn when it is asked for: a terminal shows none."""

    text: str
    """What it shows, for those who don't see it."""
    draw: Callable[[], bytes]
    """Gives the PNG."""


@dataclass(frozen=True, slots=True)
class Part:
    """One suite's part."""

    suite: Suite
    title: str
    remarks: list[str]
    """What must be known of the numbers."""
    tables: list[Table]
    file: str | None = None
    """The picture's, beside the tables."""
    pictures: list[Picture] = field(default_factory=list)
    """What a page shows in its place, side by side where there is room."""
    wrong: list[str] = field(default_factory=list)
    """Wrong answers, a line each."""


def make_parts(contents: ReportContents) -> list[Part]:
    """A part for each suite that has results."""
    contents = contents.measured()
    makers = (
        (contents.niah, _niah_part),
        (contents.ruler, _ruler_part),
        (contents.short, _short_part),
        (contents.recall, _recall_part),
    )
    parts = [make(contents) for results, make in makers if results]
    return [
        part
        if part.suite == "short"
        else replace(part, remarks=contents.remarks + part.remarks, wrong=contents.wrong.get(part.suite, []))
        for part in parts
    ]


def remarks_of_niah(result: NiahResult) -> list[str]:
    """What must be known of one model's grid."""
    remarks = count_remarks(result.counts) + copies_remark(result.num_copies)
    if result.prefill_share is not None:
        remarks.append(
            f"The server computed {result.prefill_share:.0%} of the prompts' tokens, and had the rest cached."
        )
    return remarks


def _niah_part(contents: ReportContents) -> Part:
    def picture(result: NiahResult) -> Picture:
        return Picture(f"Needles that {result.model} found, by depth and length", lambda: draw_niah([result]))

    return Part(
        "niah",
        "Needle in a haystack",
        _joined([(result.model, remarks_of_niah(result)) for result in contents.niah]),
        [niah_means_table(contents.niah), *(niah_table(result) for result in contents.niah)],
        NIAH_PICTURE,
        [picture(result) for result in contents.niah],
    )


def _ruler_part(contents: ReportContents) -> Part:
    results = contents.ruler
    base = result_of(contents.models[0], results)
    tables = [ruler_means_table(results, base, contents.published)]
    for result in results:
        tables.append(ruler_task_table(result))
        if base is not None and result is not base:
            tables.append(ruler_difference_table(result, base))
    remarks = [
        (result.model, [*result.remarks, *count_remarks(result.counts), *copies_remark(result.num_copies)])
        for result in results
    ]
    return Part(
        "ruler",
        "RULER",
        _joined(remarks),
        tables,
        RULER_PICTURE,
        [
            Picture(
                "RULER means by length, with their confidence bands, beside published ones",
                lambda: draw_ruler(results, base, contents.published, contents.ruler_threshold),
            )
        ],
    )


def _short_part(contents: ReportContents) -> Part:
    results = contents.short
    return Part(
        "short",
        "Short tasks",
        _joined([(result.model, result.remarks) for result in results]),
        [short_table(results, result_of(contents.models[0], results))],
    )


def _recall_part(contents: ReportContents) -> Part:
    remarks = [(result.model, [*result.remarks, *count_remarks(result.counts)]) for result in contents.recall]
    return Part("recall", "Reasoning or recall", _joined(remarks), [recall_table(contents.recall)])


def _joined(remarks: list[tuple[str, list[str]]]) -> list[str]:
    """Remarks of all models, each once: with the models' names, unless it is true of all."""
    models_of: dict[str, list[str]] = {}
    for model, texts in remarks:
        for text in texts:
            models_of.setdefault(text, []).append(model)
    return [
        text if len(models) == len(remarks) else f"{', '.join(models)}: {text}"
        for text, models in models_of.items()
    ]
