"""Does the probe choose the RoPE that finds most? Its choice beside the same candidates asked other needles.

python -m benchmarks.probe --journal FILE [--lengths 10240 12288 16384] [--out FILE]

SmolLM2-135M-Instruct reads 8,192 tokens. For each longer length all candidates of the probe are read untrained, and the
best by the probe's criterion is chosen. Then every candidate is asked again: other needles, in another haystack. Each
reading is written to the journal at once; a second call goes on after the last one.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.config import EvaluateConfig
from app.models.places import resolve_model
from app.models.rope import max_tokens_of, with_rope
from app.probing.candidates import candidates_of
from app.probing.questions import QuestionMaker
from app.probing.reading import load_decoder, read
from app.tokens import Tokenizer
from benchmarks.record import ROOT, say

MODEL = "bundled:smollm2-135m-instruct"
RESULT = ROOT / "benchmarks" / "results" / "probe.json"
LENGTHS = (10_240, 12_288, 16_384)
NUM_NEEDLES = 10
SEEDS = {"probe": 1, "check": 2}


def measure(lengths: Sequence[int], journal: Path) -> None:
    """Read all candidates, first for the choice and then for the check; what the journal has is not read again."""
    import torch
    from transformers import AutoConfig

    folder, tokenizer = resolve_model(MODEL), Tokenizer(MODEL)
    config = AutoConfig.from_pretrained(folder)
    known = {(line["length"], line["for"], line["candidate"]) for line in journal_lines(journal)}
    evaluate = EvaluateConfig.model_validate({"niah": {"max_output_tokens": 16}})
    for length in lengths:
        own_tokens = max_tokens_of(config)
        candidates = candidates_of(config, config.rope_parameters, own_tokens, length)
        for purpose, seed in SEEDS.items():
            haystack = QuestionMaker(evaluate, tokenizer, seed, length, NUM_NEEDLES).make(0)
            for each in candidates:
                if (length, purpose, each.name) in known:
                    continue
                decoder = load_decoder(
                    folder,
                    with_rope(config, each.parameters, length),
                    torch.float32,
                    torch.device("cpu"),
                )
                started = time.perf_counter()
                reading = read(decoder, haystack)
                beyond = reading.losses[reading.positions >= own_tokens]
                line = {
                    "length": length,
                    "for": purpose,
                    "candidate": each.name,
                    "parameters": each.parameters,
                    "num_found": sum(reading.found),
                    "found": reading.found,
                    "depths_percent": [round(depth, 1) for depth in haystack.depths_percent],
                    "answer_losses": [round(loss, 3) for loss in reading.answer_losses],
                    "loss": round(float(reading.losses.mean()), 4),
                    "loss_beyond": round(float(beyond.mean()), 4),
                    "seconds": round(time.perf_counter() - started, 1),
                }
                with journal.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(line) + "\n")
                say(
                    f"{length} {purpose} {each.name}: {line['num_found']} of {NUM_NEEDLES}, {line['seconds']} s"
                )


def journal_lines(journal: Path) -> list[dict[str, Any]]:
    """All readings so far."""
    return [json.loads(line) for line in journal.read_text("utf-8").splitlines()] if journal.exists() else []


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.probe", description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--journal", type=Path, required=True, help="JSONL file with a line for each reading")
    parser.add_argument("--out", type=Path, default=RESULT, help="JSON file")
    arguments = parser.parse_args()
    measure(arguments.lengths, arguments.journal)


if __name__ == "__main__":
    main()
