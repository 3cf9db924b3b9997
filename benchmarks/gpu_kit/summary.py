"""What the records come to: figures, a result file that is whole at any moment, and a line for each record."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.gpu_kit.records import FILE, Record, latest, read_records
from benchmarks.record import describe_machine, write_result

SUMMARY = "summary.json"
COMMIT_VARIABLE = "LONGSTRAP_COMMIT"
"""Environment variable with the commit, where a copy of the tree has no history."""
_GIB = 2**30


def write_summary(out: Path) -> None:
    """Write `summary.json` anew, aside first: whoever ends the machine never leaves half a file."""
    records = list(latest(read_records(out / FILE)).values())
    aside = out / f"{SUMMARY}.new"
    write_result(
        aside,
        describe_machine(),
        figures_of(records),
        {"commit": os.environ.get(COMMIT_VARIABLE, "")},
        {"records": [json.loads(record.line()) for record in records]},
        {
            "what": "steps of up to 65,536 tokens and kernels: repeats in their records; longer steps are timed once"
        },
    )
    aside.replace(out / SUMMARY)


def figures_of(records: Iterable[Record]) -> dict[str, float]:
    """What is claimed, by name."""
    figures: dict[str, float] = {}
    measured = [record for record in records if record.status == "measured"]
    for record in measured:
        if record.step in ("exact", "ranks"):
            worst = f"{record.step}_worst_error"
            figures[worst] = max(figures.get(worst, 0.0), record.values["worst"])
        if record.step == "machine" and record.key == "matrix product":
            figures["matrix_product_tflops"] = record.values["tflops"]
        if record.step == "rates":
            figures |= _rates(record.values["kernels"])
        if record.step == "extension" and "num_asked" in record.values:
            share = record.values["num_found"] / record.values["num_asked"]
            figures[f"{record.key.replace(' ', '_')}_percent"] = 100 * share
    return figures | _cells([record.values for record in measured if record.step in ("training", "longest")])


def _rates(kernels: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    return {
        f"{kernel['kernel'].replace(' ', '_')}_{way}_tflops_{kernel['num_tokens'] // 1024}k_{kernel['head_dim']}": (
            kernel[f"{way}_tflops"]
        )
        for kernel in kernels
        for way in ("forward", "backward")
        if "reason" not in kernel
    }


def _cells(cells: list[Mapping[str, Any]]) -> dict[str, float]:
    """Speed of each cell, and how this project stands to plain transformers."""
    cells = [cell for cell in cells if "side" in cell]
    figures: dict[str, float] = {}
    rates: dict[tuple[str, str, int], float] = {}
    longest: dict[tuple[str, str], int] = {}
    for cell in cells:
        side, model, tokens = cell["side"], cell["model"], cell["num_tokens"]
        longest[side, model] = max(longest.get((side, model), 0), tokens)
        if cell["document_tokens"] is not None:
            continue
        kernel = "" if cell["kernel"] == "flash" else f"_{cell['kernel']}"
        kernel += "" if cell["keeps_attention"] else "_recomputed"
        name = f"{side}_{model}_{tokens // 1024}k{kernel}"
        figures[f"tokens_per_sec_{name}"] = cell["tokens_per_sec"]
        figures[f"peak_gib_{name}"] = cell["peak_bytes"] / _GIB
        if cell["mfu"] is not None:
            figures[f"mfu_{name}"] = cell["mfu"]
        best = max(rates.get((side, model, tokens), 0.0), cell["tokens_per_sec"])
        rates[side, model, tokens] = best
    for (side, model, tokens), rate in rates.items():
        plain = rates.get(("plain", model, tokens))
        if side == "project" and plain:
            figures[f"speed_over_plain_{model}_{tokens // 1024}k"] = rate / plain
    for side, model in longest:
        if side == "project" and ("plain", model) in longest:
            figures[f"longest_over_plain_{model}"] = longest[side, model] / longest["plain", model]
    return figures


def row_of(record: Record) -> str:
    """A record for the person who watches."""
    name = f"{record.step}, {record.key}"
    if record.status != "measured":
        return f"{name}: {record.status} ({record.values.get('reason', '')})"
    values = record.values
    if "worst" in values:
        return f"{name}: largest error {values['worst']:.2g}, tolerance {values['tolerance']:g}"
    if "tokens_per_sec" in values:
        share = "" if values["mfu"] is None else f", MFU {values['mfu']:.1%}"
        return (
            f"{name}: {values['tokens_per_sec']:,.0f} tokens/s{share}, {values['peak_bytes'] / _GIB:.1f} GiB"
        )
    if "num_asked" in values:
        return f"{name}: {values['num_found']} of {values['num_asked']} found, loss {values['loss']:.3f}"
    if "kernels" in values and record.step == "rates":
        rates = (
            f"{kernel['kernel']} {kernel.get('forward_tflops', 0):.0f}/{kernel.get('backward_tflops', 0):.0f}"
            for kernel in values["kernels"]
        )
        return f"{name}: TFLOP/s forward/backward: {', '.join(rates)}"
    return f"{name}: {json.dumps(values)[:300]}"
