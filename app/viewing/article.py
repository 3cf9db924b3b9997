"""One example or reject as HTML: what was asked, of which documents, what was answered, and how it was checked."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.config import ViewConfig
from app.dataset.layout import SEPARATOR
from app.html import Content, Html, details, element, joined, pairs, paragraph, table
from app.viewing.entries import Entry, Row
from app.viewing.stretches import Evidence, Part, cut_context

MAX_SHOWN_DOCUMENTS = 40
_HEADER = re.compile(rf"(?:^|{re.escape(SEPARATOR)})Document (\d+)(?:: ([^\n]*))?\n\n")
_SIGNALS = {
    "closed_book": ("Without any document", "max_closed_book", "at most"),
    "evidence_gain": ("Gain by the evidence", "min_evidence_gain", "at least"),
    "distractor_gain": ("Gain by unmarked passages", None, ""),
}
"""Measure → what it is called, its threshold and the threshold's sense."""

Thresholds = Mapping[str, float | None]


def render_article(entry: Entry, view: ViewConfig, thresholds: Thresholds) -> Html:
    """An example or a reject.

    Args:
        entry: What is shown.
        view: How much of its texts.
        thresholds: What verified answers had to reach, by name; those that are missing are not told.
    """
    content: list[Content] = [_heading(entry)]
    if entry.reject is not None:
        content.append(_reason(entry, view))
    if entry.example is not None:
        content += _example(entry.example, view, thresholds)
    elif entry.seed_text:
        content.append(details("What it started from", _text(entry.seed_text, view.text_chars)))
    return element(
        "article",
        joined(content, "\n"),
        data_kind=entry.kind,
        data_task=entry.task,
        data_status="reject" if entry.reject else "example",
        data_tokens=None if entry.num_tokens is None else str(entry.num_tokens),
    )


def _heading(entry: Entry) -> Html:
    facts = [entry.kind.replace("_", " "), entry.task.replace("_", " ")]
    if entry.num_tokens is not None:
        facts.append(f"{entry.num_tokens:,} tokens" + ("" if entry.example else " asked for"))
    if entry.example is not None and (depths := entry.example["evidence_depths"]):
        documents = len(entry.example["document_ids"])
        facts.append(f"{documents:,} documents" if documents != 1 else "1 document")
        facts.append(f"{len(depths):,} evidence passages" if len(depths) != 1 else "1 evidence passage")
    return joined(
        [element("h3", entry.seed_id), paragraph(" · ".join(filter(None, facts)), kind="pale")], "\n"
    )


def _reason(entry: Entry, view: ViewConfig) -> Html:
    reject = entry.reject
    assert reject is not None
    words = paragraph(element("span", f"Rejected: {reject.reason}", class_="bad"), f" at {reject.step}")
    return joined([words, _text(reject.detail, view.text_chars) if reject.detail else None], "\n")


def _example(row: Row, view: ViewConfig, thresholds: Thresholds) -> Iterator[Content]:
    first, *turns = row["messages"]
    yield element("h4", "Instruction")
    yield _text(row["instruction"], view.text_chars)
    # The documents come before the instruction; a long output has none.
    context = first["content"].removesuffix(row["instruction"]).removesuffix(SEPARATOR)
    if context and row["kind"] != "long_output":
        yield element("h4", "Context")
        yield _context(row, context, view)
    names = {"assistant": "Answer", "user": "Next question"}
    for turn in turns:
        yield element("h4", names.get(turn["role"], turn["role"]))
        yield _text(turn["content"], view.text_chars)
    if row.get("task_data"):
        yield element("h4", "What a program checks")
        yield _task_data(json.loads(row["task_data"]), view)
    if row.get("verification"):
        yield element("h4", "How it was verified")
        yield _verification(row["verification"], thresholds)
    yield _origin(row)


def _context(row: Row, context: str, view: ViewConfig) -> Html:
    # Rows of an older format say which passages are evidence, but not where they stand.
    spans = row.get("evidence_spans") or []
    evidence = [
        Evidence(start_char, end_char, f"{name}, at {depth:.0%}")
        for name, depth, (start_char, end_char) in zip(
            row["evidence_ids"], row["evidence_depths"], spans, strict=False
        )
    ]
    parts = cut_context(context, evidence, view.around_chars, view.context_chars)
    label = f"Context of {row['example_id']}"
    return joined(
        [
            element(
                "div", *map(_part, parts), class_="context", tabindex="0", role="region", aria_label=label
            ),
            _documents(row, context, evidence),
        ],
        "\n",
    )


def _part(part: Part) -> Html:
    if part.kind == "evidence":
        return element("mark", part.text, title=part.name)
    if part.kind == "folded":
        return details(f"{part.num_chars:,} characters", element("div", part.text))
    if part.kind == "left out":
        besides = f" with {part.num_evidence:,} evidence passages" if part.num_evidence else ""
        return element("p", f"… {part.num_chars:,} characters{besides} are left out …", class_="pale")
    return element("span", part.text)


def _documents(row: Row, context: str, evidence: Sequence[Evidence]) -> Html | None:
    found = list(_headers(context))
    if not found:
        return None
    ends = [start for start, _ in found[1:]] + [len(context)]
    # Ids are told where they are known to be those of the headers.
    are_known = len(row["document_ids"]) == len(found)
    names: list[str] = row["document_ids"] if are_known else [""] * len(found)
    rows: list[list[Content]] = []
    for number, ((start, title), end, name) in enumerate(zip(found, ends, names, strict=True), 1):
        num_evidence = sum(start <= each.start_char < end for each in evidence)
        rows.append([number, title, name, end - start, num_evidence or None])
    shown = rows[:MAX_SHOWN_DOCUMENTS]
    caption = "Documents of the context"
    if len(rows) > len(shown):
        caption = f"The first {len(shown)} of {len(rows):,} documents of the context"
    return details(
        f"{len(rows):,} documents" if len(rows) != 1 else "1 document",
        table(caption, ["number", "title", "id"], ["characters", "evidence passages"], shown),
    )


def _headers(context: str) -> Iterator[tuple[int, str]]:
    """Where each document begins, and its title."""
    number = 0
    for found in _HEADER.finditer(context):
        # A document may itself hold lines like a header.
        if int(found[1]) == number + 1:
            number += 1
            yield found.start(), found[2] or ""


def _task_data(task: Mapping[str, Any], view: ViewConfig) -> Html:
    key = json.dumps(task["answer_key"], ensure_ascii=False)
    return pairs(
        [
            ("Answer key", key if len(key) <= view.text_chars else f"{key[: view.text_chars]}…"),
            ("Checker", f"{task['checker']}, of {task['answer_type'].replace('_', ' ')}"),
            ("Look-ups in a row", task["num_hops"]),
            ("Documents needed", task["num_needed_documents"]),
            ("Share of wrong replies", _percent(task.get("difficulty"))),
        ]
    )


def _verification(measured: Mapping[str, Any], thresholds: Thresholds) -> Html:
    rows: list[tuple[str, Content]] = [("Not verified", measured["not_verified"])]
    for name, (title, limit_name, sense) in _SIGNALS.items():
        if (value := measured[name]) is None:
            continue
        limit = thresholds.get(limit_name) if limit_name else None
        rows.append(
            (title, f"{value:.2f} nats a token" + (f", {sense} {limit:.2f}" if limit is not None else ""))
        )
    drops = [f"{each['document_id']} {each['drop']:.2f}" for each in measured["necessity"] or ()]
    rows.append(("Lost without a document", ", ".join(drops)))
    rows.append(("Judged relevance", _grade(measured["judged_relevance"])))
    rows.append(("Judged correctness", _grade(measured["judged_correctness"])))
    return pairs(rows)


def _origin(row: Row) -> Html:
    return paragraph(f"{row['generator']}, prompts of version {row['prompt_version']}", kind="pale")


def _text(text: str, max_chars: int) -> Html:
    """A text as it stands, its middle left out if it is long."""
    if len(text) <= max_chars:
        return element("div", text, class_="text")
    head, tail = text[: max_chars * 2 // 3], text[len(text) - max_chars // 3 :]
    left_out = element(
        "p", f"… {len(text) - len(head) - len(tail):,} characters are left out …", class_="pale"
    )
    return element("div", head, left_out, tail, class_="text")


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.0%}"


def _grade(grade: int | None) -> str | None:
    return None if grade is None else f"{grade} of 5"
