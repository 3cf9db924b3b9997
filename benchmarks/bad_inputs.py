"""What becomes of bad inputs: a clear line, a record with its reason, the right result; or a traceback, or a wrong one.

python -m benchmarks.bad_inputs [--rooms documents endpoint …] [--out FILE]

Each input goes through the code that meets it in a job, and has an outcome that is known before. The inputs that once
went wrong, which are kept outside of this repository (`LONGSTRAP_SHARED`, `../shared` beside the checkout if that is
not set), are tried too where they are there. Whatever is neither clear nor right is printed with what came of it.
"""

import argparse
import logging
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks.bad_inputs_judging import GOOD, Case, Finding, judged
from benchmarks.record import ROOT, describe_machine, say, write_result

RESULT = ROOT / "benchmarks" / "results" / "bad_inputs.json"
ROOMS = ("documents", "endpoint", "settings", "models", "rows", "requests")


def try_room(room: str, shared: Path | None) -> list[Finding]:
    """Findings of all inputs of a room, each of which imports only what it needs.

    Args:
        room: One of `ROOMS`.
        shared: Kept inputs, where there are any.
    """
    # What libraries say beside the outcome is no part of it.
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        return judged(list(_cases(room, Path(folder), shared)))


def _cases(room: str, folder: Path, shared: Path | None) -> Iterator[Case]:
    if room == "documents":
        from benchmarks.bad_inputs_documents import document_cases
        from benchmarks.bad_inputs_texts import text_cases

        yield from document_cases(folder)
        yield from text_cases(folder, shared)
    elif room == "endpoint":
        from benchmarks.bad_inputs_endpoint import endpoint_cases
        from benchmarks.bad_inputs_server import BadServer

        yield from endpoint_cases(BadServer(), shared)
    elif room == "settings":
        from benchmarks.bad_inputs_settings import settings_cases

        yield from settings_cases(folder, shared)
    elif room == "models":
        from benchmarks.bad_inputs_models import model_cases

        yield from model_cases(folder)
    elif room == "rows":
        from benchmarks.bad_inputs_rows import row_cases

        yield from row_cases(folder)
    else:
        from benchmarks.bad_inputs_requests import FrontServer, request_cases

        yield from request_cases(FrontServer(), shared)


def shared_folder() -> Path | None:
    """The kept inputs, if they are here."""
    folder = Path(os.environ.get("LONGSTRAP_SHARED") or ROOT.parent / "shared").resolve()
    return folder if (folder / "cases").is_dir() else None


def count(findings: Sequence[Finding]) -> dict[str, int]:
    """How many inputs came to what."""
    verdicts = Counter(finding.verdict for finding in findings)
    return {
        "inputs_tried": len(findings),
        **{f"{name}s" if name != "right" else name: verdicts[name] for name in GOOD},
        "tracebacks": verdicts["traceback"],
        "silently_wrong": verdicts["silently_wrong"],
        "unclear": verdicts["unclear"],
    }


def measure(rooms: Sequence[str], num_processes: int, out: Path) -> None:
    """Try the inputs of some rooms, and write the result."""
    machine, shared = describe_machine(), shared_folder()
    # A process for each: the servers of two of them end with it.
    with ProcessPoolExecutor(num_processes, get_context("spawn"), max_tasks_per_child=1) as pool:
        trials = {room: pool.submit(try_room, room, shared) for room in rooms}
        found = {room: trial.result() for room, trial in trials.items()}
    for room in rooms:
        say(f"{room}: {count(found[room])}")
        for finding in found[room]:
            if finding.verdict not in GOOD:
                say(f"  {finding.verdict}: {finding.name}: {finding.detail}")
    figures = count([finding for findings in found.values() for finding in findings])
    measured = {room: count(findings) for room, findings in found.items()}
    settings = {"rooms": list(rooms), "kept_inputs": shared is not None}
    write_result(out, machine, figures, settings, measured, {"what": "none: the same inputs every time"})
    say(f"written: {out}")


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bad_inputs", description=__doc__)
    parser.add_argument("--rooms", nargs="+", choices=ROOMS, default=ROOMS)
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="rooms that are tried at once")
    parser.add_argument("--out", type=Path, default=RESULT, help="JSON file")
    arguments = parser.parse_args()
    measure(arguments.rooms, arguments.processes, arguments.out)


if __name__ == "__main__":
    main()
