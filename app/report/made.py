"""The report's section on data: corpus, index, dataset, three examples to read, and the rejects."""

from app.config import Config, RunConfig
from app.dataset.excerpts import Excerpt
from app.dataset.pictures import DEPTHS_PICTURE, LENGTHS_PICTURE
from app.html import (
    Content,
    Html,
    decimal_cell,
    element,
    joined,
    missing,
    pairs,
    paragraph,
    picture,
    pictures,
    section,
    table,
)
from app.records.dataset import DatasetStatistics
from app.records.documents import CorpusRecord, IndexRecord
from app.report.reading import RunFacts

TITLE = "What was made"
MAX_DETAIL_CHARS = 160
PICTURE_TEXTS = {
    LENGTHS_PICTURE: "How many examples have which length, by kind",
    DEPTHS_PICTURE: "Which share of the evidence stands at which depth of its context",
}


def render_made(config: RunConfig, facts: RunFacts) -> Html:
    """Everything between the documents and the training."""
    if not isinstance(config, Config):
        return section("made", TITLE, missing("Nothing: the stages train on data that was there already."))
    return section(
        "made",
        TITLE,
        _corpus(facts.corpus),
        _index(facts.index),
        element("h3", "Dataset"),
        *(
            _dataset(facts.statistics, facts)
            if facts.statistics
            else [missing("The dataset is not complete yet.")]
        ),
    )


def _corpus(record: CorpusRecord | None) -> Html:
    heading = element("h3", "Corpus")
    if record is None:
        return joined([heading, missing("The corpus is not complete yet.")])
    counts: list[tuple[str, Content]] = [
        ("Documents", record.num_documents),
        ("Tokens", record.num_tokens),
        ("Passages", record.num_passages),
        ("Longest document", f"{record.max_document_tokens:,} tokens"),
    ]
    rows: list[list[Content]] = [
        [step, reason, number]
        for step, reasons in record.num_rejects.items()
        for reason, number in reasons.items()
    ]
    caption = f"Documents left out, of {record.num_rows:,}"
    return joined(
        [heading, pairs(counts), table(caption, ["step", "reason"], ["documents"], rows) if rows else None]
    )


def _index(record: IndexRecord | None) -> Html:
    heading = element("h3", "Index")
    if record is None:
        return joined([heading, missing("The index is not complete yet.")])
    return joined(
        [
            heading,
            pairs(
                [
                    ("Vectors", f"{record.num_vectors:,} of {record.dim:,} numbers"),
                    ("Type", record.build.index_factory),
                    ("Recall at 10", f"{record.recall_at_10:.1%} of exact search"),
                ]
            ),
        ]
    )


def _dataset(statistics: DatasetStatistics, facts: RunFacts) -> list[Content]:
    shown = [
        picture(facts.pictures[name], text) for name, text in PICTURE_TEXTS.items() if name in facts.pictures
    ]
    return [
        _kind_table(statistics),
        pictures(shown) if shown else None,
        _task_table(statistics),
        element("h3", "Examples, shortened"),
        *map(_example, facts.examples),
        element("h3", "Left out"),
        _reject_table(statistics, facts.reject_details),
    ]


def _kind_table(statistics: DatasetStatistics) -> Html:
    quantiles = ["min", "p10", "p50", "p90", "max"]
    rows = [
        [
            kind.replace("_", " "),
            counts.num_examples,
            counts.num_tokens,
            *(counts.length_tokens[name] for name in quantiles),
            decimal_cell(counts.length_tokens["mean"], ",.0f"),
        ]
        for kind, counts in statistics.kinds.items()
    ]
    totals = ["all", statistics.num_examples, statistics.num_tokens, *[None] * (len(quantiles) + 1)]
    heads = ["examples", "tokens", "shortest", "10% below", "median", "90% below", "longest", "mean"]
    return table(
        "Examples and their lengths in tokens", ["kind"], heads, rows, totals if len(rows) > 1 else ()
    )


def _task_table(statistics: DatasetStatistics) -> Html:
    rows = [
        [
            task.replace("_", " "),
            kind.replace("_", " "),
            number,
            decimal_cell(number / counts.num_examples, ".0%"),
        ]
        for kind, counts in statistics.kinds.items()
        for task, number in counts.tasks.items()
    ]
    return table("Kinds of instruction", ["instruction", "kind"], ["examples", "of its kind"], rows)


def _example(excerpt: Excerpt) -> Html:
    parts = [paragraph(element("strong", name), " ", text) for name, text in excerpt.parts.items()]
    facts = paragraph(" · ".join([*excerpt.facts, excerpt.example_id]), kind="pale")
    return element("article", facts, *parts)


def _reject_table(statistics: DatasetStatistics, reject_details: dict[tuple[str, str], str]) -> Html:
    if not statistics.rejects:
        return paragraph("Nothing: each seed became an example.")
    num_seeds = statistics.num_examples + statistics.num_rejects
    rows = [
        [
            reject.step,
            reject.reason,
            _cut(reject_details.get((reject.step, reject.reason), "")),
            reject.num_rejects,
            decimal_cell(reject.num_rejects / num_seeds, ".1%"),
        ]
        for reject in statistics.rejects
    ]
    caption = f"Rejects: {statistics.num_rejects:,} of {num_seeds:,} seeds"
    return table(caption, ["step", "reason", "one of them"], ["seeds", "of all"], rows)


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_DETAIL_CHARS else f"{text[: MAX_DETAIL_CHARS - 1]}…"
