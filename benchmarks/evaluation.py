"""What the evaluation costs, side by side with what else could have been done, in one run.

python -m benchmarks.evaluation [--reference NVIDIA_RULER [--reference-python PYTHON]] [--repeats 3] [--out FILE]

RULER samples of every task at 4k, 128k and 1M tokens, and the reference generator's (`benchmarks.evaluation_ruler`).
The same requests to vLLM's own server from a plain HTTP client and from the evaluation's runner, in turns. Time to the
first token of that server, and of the same engine in Ray Serve. And a needle grid, of whose prompts the server says
how many tokens it had cached. All engines are SmolLM2 on one thread of a CPU.
"""

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

from app.config import EvaluateConfig, NiahConfig, RulerConfig
from app.storage import Folder
from app.tokens import Tokenizer
from benchmarks.evaluation_load import first_token_sec, plain_sec, runner_records, runner_sec
from benchmarks.evaluation_ruler import measure_ruler
from benchmarks.evaluation_servers import MAX_CONCURRENT, MODEL, NAME, bare_server, ray_server
from benchmarks.record import ROOT, describe_machine, say, scratch_folder, spread, write_result
from eval.niah import NiahMaker
from eval.prefill_share import measured_prefill_share
from eval.ruler.maker import RulerMaker
from eval.samples import Sample, SampleMaker

RESULT = ROOT / "benchmarks" / "results" / "evaluation.json"
LOAD_TOKENS, NUM_LOAD_SAMPLES = 1024, 32
NUM_FIRST_TOKENS = 12
NIAH_LENGTHS_TOKENS = [4096]
NIAH_DEPTHS_PERCENT = [10.0 * step for step in range(1, 11)]
"""The eleventh of the default grid, a needle in front of everything, shares nothing with any other."""
NIAH_CONCURRENT = 2
SEED = 1


def load_samples(number: int, num_samples: int) -> list[Sample]:
    """Prompts that no other number has: a cached prefix would make the second run faster than the first."""
    ruler = RulerConfig(lengths_tokens=[LOAD_TOKENS], tasks=["niah_multikey_3"], num_samples=num_samples)
    return _samples(RulerMaker(EvaluateConfig(ruler=ruler), Tokenizer(MODEL), SEED + number))


def niah_samples() -> list[Sample]:
    """Ten depths at one length; several lengths share even more."""
    niah = NiahConfig(
        lengths_tokens=NIAH_LENGTHS_TOKENS, depths_percent=NIAH_DEPTHS_PERCENT, max_output_tokens=4
    )
    return _samples(NiahMaker(EvaluateConfig(niah=niah), Tokenizer(MODEL), SEED))


def measure_client(folder: Path, repeats: int) -> dict[str, list[float]]:
    """Seconds of the same requests, from a plain client and from the runner, in turns.

    The server caches no prefixes: both send the same prompts.
    """
    found: dict[str, list[float]] = {"plain_sec": [], "runner_sec": []}
    with bare_server(folder / "bare.log", caches_prefixes=False) as url:
        plain_sec(url, NAME, load_samples(0, 4), MAX_CONCURRENT)
        for number in range(1, repeats + 1):
            samples = load_samples(number, NUM_LOAD_SAMPLES)
            records = Folder(str(folder / f"records{number}"))
            found["plain_sec"].append(plain_sec(url, NAME, samples, MAX_CONCURRENT))
            found["runner_sec"].append(runner_sec(url, NAME, samples, MAX_CONCURRENT, records))
            say(f"plain {found['plain_sec'][-1]:.1f} s, runner {found['runner_sec'][-1]:.1f} s")
    return found


def measure_first_tokens(folder: Path) -> dict[str, list[float]]:
    """Seconds to the first token of both servers, and what the second says of a needle grid."""
    samples = load_samples(100, NUM_FIRST_TOKENS + 1)
    found: dict[str, list[float]] = {}
    with bare_server(folder / "bare2.log", caches_prefixes=False) as url:
        found["bare_sec"] = first_token_sec(url, NAME, samples)[1:]
    with ray_server(folder, folder / "ray.log", caches_prefixes=False) as url:
        found["ray_serve_sec"] = first_token_sec(url, NAME, samples)[1:]
    say(f"first token: {', '.join(f'{name} {statistics.median(sec):.3f}' for name, sec in found.items())}")
    return found


def measure_prefill_share(folder: Path) -> float:
    """Of a needle grid's prompt tokens, what the server computed."""
    with ray_server(folder, folder / "niah.log", caches_prefixes=True) as url:
        records = runner_records(url, NAME, niah_samples(), NIAH_CONCURRENT, Folder(str(folder / "niah")))
    share = measured_prefill_share(records)
    assert share is not None
    say(f"needle grid: {share:.3f} of the prompts' tokens were computed")
    return share


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Measure everything and write the result."""
    machine = describe_machine()
    client = measure_client(folder, arguments.repeats)
    first_tokens = measure_first_tokens(folder)
    prefill_share = measure_prefill_share(folder)
    ruler = measure_ruler(arguments.reference, arguments.reference_python)
    efficiencies = [
        plain / runner for plain, runner in zip(client["plain_sec"], client["runner_sec"], strict=True)
    ]
    figures = {
        **ruler.figures,
        "client_efficiency": statistics.median(efficiencies),
        "ttft_ratio": statistics.median(first_tokens["ray_serve_sec"])
        / statistics.median(first_tokens["bare_sec"]),
        "niah_prefill_share": prefill_share,
    }
    settings: dict[str, Any] = {
        "model": MODEL,
        "repeats": arguments.repeats,
        "load": {"tokens": LOAD_TOKENS, "samples": NUM_LOAD_SAMPLES, "concurrent": MAX_CONCURRENT},
        "niah": {"lengths_tokens": NIAH_LENGTHS_TOKENS, "depths_percent": NIAH_DEPTHS_PERCENT},
    }
    measured: dict[str, Any] = {
        "client": client,
        "first_token": first_tokens,
        "ruler_sec_per_sample": ruler.per_sample,
        "ruler_first_sample_sec": ruler.first_sample,
        "ruler_reference_sec": ruler.reference,
    }
    noise = {
        "what": "distance of the lowest from the highest, as a share of their mean",
        "client_efficiency": spread(efficiencies),
        **{name: spread(sec) for name, sec in first_tokens.items()},
    }
    write_result(arguments.out, machine, figures, settings, measured, noise)
    for name, value in figures.items():
        say(f"{name}: {value:.3f}")
    say(f"written: {arguments.out}")


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__)
    parser.add_argument(
        "--reference", type=Path, help="checkout of NVIDIA/RULER; without it no speed-up is given"
    )
    parser.add_argument("--reference-python", default=sys.executable, help="interpreter with what it needs")
    parser.add_argument("--repeats", type=int, default=3, help="of the runner and the plain client")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    with scratch_folder("lse") as folder:
        measure(arguments, folder)


def _samples(maker: SampleMaker) -> list[Sample]:
    return [maker.make(slot) for slot in maker.slots()]


if __name__ == "__main__":
    main()
