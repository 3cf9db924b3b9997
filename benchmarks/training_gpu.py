"""Training steps of real model shapes on one GPU, against plain transformers, and the attention kernels' exactness.

python -m benchmarks.training --gpu [--out FILE] [--add FILE]

Needs torch (2.11 or newer) and transformers, neither Ray nor pydantic. Takes less than ten minutes: cells that would
not end in time are left out, and say so. `--add` takes over what an earlier result has and goes on with what it lacks,
so that the long cells can be measured in runs of their own.
"""

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT, describe_commit, describe_machine, run_measured, say, write_result
from benchmarks.training_cells import MODELS, Cell

RESULT = ROOT / "benchmarks" / "results" / "training_gpu.json"
BUDGET_SEC = 540.0
"""For everything, the start of three processes included."""
ATTENTION_SEC, PLAIN_SEC = 120.0, 120.0
_TO_END_SEC = 15.0
_HOST_SHARE = 0.85
_SIDES = ("project", "plain")


def measure_gpu(out: Path, add: Path | None, host_gib: float | None, is_rehearsal: bool) -> None:
    """Measure what there is time for and write the result; without a GPU say so and do nothing.

    Args:
        out: Takes the result.
        add: An earlier result to go on from.
        host_gib: Of the host's memory, what offloaded checkpoints may take; None: most of it.
        is_rehearsal: Run tiny models on the CPU instead, to see that everything runs; nothing is written.
    """
    device = _describe_gpu()
    if device is None and not is_rehearsal:
        say("no CUDA GPU at hand: nothing is measured")
        return
    started = time.monotonic()
    machine = describe_machine()
    host_gib = host_gib or _HOST_SHARE * machine.memory_bytes / 2**30
    earlier = json.loads(add.read_text("utf-8"))["measured"] if add is not None and add.exists() else {}
    cells: list[dict[str, Any]] = [
        cell for cell in earlier.get("cells", []) if cell["status"] not in ("skipped", "failed")
    ]
    attention: list[dict[str, Any]] = earlier.get("attention", [])
    folder = Path(tempfile.mkdtemp(prefix="lsg", dir="/tmp"))

    def left(most: float = BUDGET_SEC) -> float:
        return min(most, BUDGET_SEC - _TO_END_SEC - (time.monotonic() - started))

    def run(what: str, seconds: float) -> list[dict[str, Any]]:
        say(f"{what}: at most {seconds:.0f} s")
        done = [_cell_of(cell).key for cell in cells if cell["side"] == what]
        return _run_worker(what, folder, seconds, done, host_gib, is_rehearsal)

    if not attention:
        attention = run("attention", left(ATTENTION_SEC))
    stamp = {"commit": describe_commit(), "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime())}
    settings = {
        "device": device,
        "budget_sec": BUDGET_SEC,
        "host_gib": host_gib,
        "models": {name: model.holds for name, model in MODELS.items()},
        "plain": "transformers with SDPA, gradient checkpointing and its own loss, the same state",
    }
    noise = {"what": "steps of up to 65,536 tokens: see step_sec of each cell; longer ones are timed once"}
    for side, most in (("plain", PLAIN_SEC), ("project", BUDGET_SEC)):
        cells += [{**cell, **stamp} for cell in run(side, left(most))]
        figures = figures_of(cells, attention)
        if not is_rehearsal:
            # After each side: what is known must outlive a command that is ended from outside.
            measured = {"cells": sorted(cells, key=_order), "attention": attention}
            write_result(out, machine, figures, settings, measured, noise)
            say(f"written: {out}")
    for name, value in figures.items():
        say(f"{name}: {value:.4g}")
    if is_rehearsal:
        failed = [cell for cell in cells if cell["status"] == "failed"]
        say(f"rehearsal: {len(cells)} cells, {len(failed)} failed {failed}; nothing is written")
    shutil.rmtree(folder, ignore_errors=True)


def figures_of(cells: list[dict[str, Any]], attention: list[dict[str, Any]]) -> dict[str, float]:
    """What the cells come to: speed and MFU of each, and how this project stands to plain transformers."""
    figures: dict[str, float] = {}
    for record in attention:
        if record.get("check") == "all":
            figures["attention_worst_error"] = record["worst"]
    longest: dict[tuple[str, str], int] = {}
    rates: dict[tuple[str, str, int], float] = {}
    for cell in cells:
        if cell["status"] != "measured":
            continue
        side, model, tokens = cell["side"], cell["model"], cell["num_tokens"]
        longest[side, model] = max(longest.get((side, model), 0), tokens)
        if cell["document_tokens"] is not None:
            continue
        rates[side, model, tokens] = cell["tokens_per_sec"]
        if side == "project":
            name = f"{model}_{tokens // 1024}k"
            figures[f"tokens_per_sec_{name}"] = cell["tokens_per_sec"]
            figures[f"peak_gib_{name}"] = cell["peak_bytes"] / 2**30
            if cell["mfu"] is not None:
                figures[f"mfu_{name}"] = cell["mfu"]
    for model in MODELS:
        if ("plain", model) in longest and ("project", model) in longest:
            tokens = longest["plain", model]
            figures[f"longest_over_plain_{model}"] = longest["project", model] / tokens
            shared = [
                key[2] for key in rates if key[:2] == ("plain", model) and ("project", *key[1:]) in rates
            ]
            if shared:
                most = max(shared)
                figures[f"speed_over_plain_{model}_{most // 1024}k"] = (
                    rates["project", model, most] / rates["plain", model, most]
                )
    return figures


def _run_worker(
    what: str, folder: Path, seconds: float, done: list[str], host_gib: float, is_rehearsal: bool
) -> list[dict[str, Any]]:
    """What one process measures; if it dies, what it had found until then, and why it died."""
    records, log = folder / f"{what}.jsonl", folder / f"{what}.log"
    records.touch()
    stop_at = str(time.monotonic() + seconds)
    arguments = [what, str(records), stop_at, "--done", json.dumps(done), "--host-gib", str(host_gib)]
    environment = {
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        "NCCL_SOCKET_IFNAME": "lo",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    death = ""
    try:
        run_measured(
            "benchmarks.training_gpu_worker",
            arguments + ["--rehearse"] * is_rehearsal,
            log,
            environment,
            timeout_sec=seconds + _TO_END_SEC / 2,
        )
    except RuntimeError as error:
        death = str(error)
        say(f"{what}: {death}")
    found = [json.loads(line) for line in records.read_text("utf-8").splitlines()]
    for record in found:
        say(_line_of(record))
    if death and what in _SIDES:
        nothing = {"side": what, "model": "", "num_tokens": 0, "document_tokens": None}
        found.append({**nothing, "status": "failed", "reason": death[-2000:]})
    elif death:
        found.append({"check": "failed", "reason": death[-2000:]})
    return found


def _line_of(record: dict[str, Any]) -> str:
    if "side" not in record:
        return "attention: " + json.dumps({key: value for key, value in record.items() if key != "errors"})
    packed = f" in documents of {record['document_tokens']:,}" if record["document_tokens"] else ""
    name = f"{record['side']}, {record['model']}, {record['num_tokens']:,} tokens{packed}"
    if record["status"] != "measured":
        return f"{name}: {record['status']} ({record['reason']})"
    share = "" if record["mfu"] is None else f", MFU {record['mfu']:.1%}"
    return f"{name}: {record['tokens_per_sec']:,.0f} tokens/s{share}, {record['peak_bytes'] / 2**30:.1f} GiB"


def _cell_of(record: dict[str, Any]) -> Cell:
    return Cell(record["model"], record["num_tokens"], record["document_tokens"])


def _order(record: dict[str, Any]) -> tuple[str, str, int, int]:
    return record["side"], record["model"], record["num_tokens"], record["document_tokens"] or 0


def _describe_gpu() -> dict[str, Any] | None:
    import torch

    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }
