"""Whether verification tells sound answers from shuffled ones and from planted faults, and what it costs.

python -m benchmarks.verification [--num 20] [--run RUN_DIR] [--out benchmarks/results/verification.json]

SmolLM2 scores rows of `benchmarks.verification_faults` as a job would, and the job's own rules choose the thresholds.
With the folder of a run that was made with `agent.verification.signals`, what its calls took is told too.
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from app.agent.llm import Score, ScoreCall
from app.agent.parsing import MalformedReplyError, parse_answer
from app.agent.verification import Verifier
from app.config import ThresholdConfig, VerificationConfig
from app.dataset.results import verification_row
from app.dataset.shuffling import ScoredRow, score_shuffled
from app.dataset.statistics import STATISTICS_FILE
from app.dataset.thresholds import ShuffledScores, Thresholds, area_under_curve, choose_thresholds, fault_of
from app.models.places import resolve_model
from app.records.dataset import DatasetStatistics
from app.schema import Draft, document_id_of
from app.storage import Folder
from app.tokens import Tokenizer
from benchmarks.record import ROOT, describe_machine, say, write_result
from benchmarks.structure_tasks import read_sample
from benchmarks.verification_faults import FAULTS, PlantedRow, plant_rows

RESULT = ROOT / "benchmarks" / "results" / "verification.json"
MODEL = "bundled:smollm2-135m-instruct"
CALL_TOKENS = 4096
ROWS_PER_REPORT = 10


class TransformersScorer:
    """Scores one text after the other, on the CPU."""

    def __init__(self, model: str) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        self._tokenizer = Tokenizer(model)
        self._model = AutoModelForCausalLM.from_pretrained(resolve_model(model), dtype=torch.float32).eval()
        self.num_read_tokens = 0

    async def score(self, call: ScoreCall) -> Score:
        """See `app.agent.llm.Scorer`."""
        import torch

        prompt = self._tokenizer.encode(self._tokenizer.render(call.messages, generation_prompt=True))
        text = self._tokenizer.encode(call.text)
        self.num_read_tokens += len(prompt) + len(text)
        with torch.inference_mode():
            logits = self._model(torch.tensor([prompt + text]), logits_to_keep=len(text) + 1).logits[0, :-1]
            own = logits.log_softmax(-1).gather(1, torch.tensor(text)[:, None])[:, 0]
        return Score.of(own.tolist(), len(prompt) + len(text))


async def verify_rows(
    rows: Sequence[PlantedRow], verifier: Verifier, scorer: TransformersScorer
) -> list[Draft]:
    """The rows' drafts with their measures."""
    drafts = []
    for number, row in enumerate(rows, 1):
        drafts.append(await verifier(row.draft, scorer))
        if number % ROWS_PER_REPORT == 0:
            say(f"{number} of {len(rows)} rows, {scorer.num_read_tokens:,} tokens read")
    return drafts


def scored_row(draft: Draft) -> ScoredRow:
    """What a finished row gives to be shuffled."""
    texts = {each.passage_id: each.text for document in draft.documents for each in document.passages}
    passages = [(document_id_of(name), texts[name]) for name in draft.evidence_ids]
    return ScoredRow(draft.instruction, draft.answer, passages)


def what_becomes(row: PlantedRow, draft: Draft, thresholds: Thresholds) -> str:
    """The reason for which a row is left out; `mended`; or `kept`."""
    try:
        parse_answer(draft.answer, was_cut=False)
    except MalformedReplyError as error:
        return str(error)
    judged = {
        "seed_id": draft.seed.seed_id,
        "task": draft.seed.task,
        "verification": verification_row(draft.verification),
    }
    if reject := fault_of(judged, thresholds):
        return reject.reason
    is_mended = row.true_ids <= set(draft.evidence_ids) and not row.true_ids <= set(row.draft.evidence_ids)
    return "mended" if is_mended else "kept"


def aucs(drafts: Sequence[Draft], shuffled: ShuffledScores) -> dict[str, float | None]:
    """Of each signal, among sound answers against shuffled ones."""
    found = [draft.verification for draft in drafts if draft.verification is not None]
    own = {
        "closed_book": [each.closed_book or 0.0 for each in found],
        "evidence_gain": [each.evidence_gain or 0.0 for each in found],
        "necessity": [min(each.necessity.values()) for each in found],
    }
    return {name: area_under_curve(own[name], others) for name, others in asdict(shuffled).items()}


def added_prompt_share(run_dir: str) -> tuple[float, dict[str, Any]]:
    """Prompt tokens of verification in a run, as a share of all others', and the calls that they were counted from."""
    statistics = DatasetStatistics.read(Folder(run_dir) / "dataset", STATISTICS_FILE)
    calls = {step: counts.num_prompt_tokens for step, counts in statistics.calls.items()}
    added = calls["verification"] / sum(number for step, number in calls.items() if step != "verification")
    verification = statistics.verification
    return added, {
        "prompt_tokens": calls,
        "num_examples": statistics.num_examples,
        "verification": verification.values() if verification is not None else None,
    }


def measure(num_each: int, run_dir: str | None, out: Path) -> None:
    """Plant rows, verify them, write the result."""
    machine, tokenizer = describe_machine(), Tokenizer(MODEL)
    rows = plant_rows(read_sample(), tokenizer, num_each)
    settings = VerificationConfig(signals=True, num_shuffled_rows=2 * num_each)
    verifier = Verifier(settings, tokenizer, 1, CALL_TOKENS)
    scorer = TransformersScorer(MODEL)

    async def score() -> tuple[list[Draft], ShuffledScores]:
        # Meta text is found by its words, before anything is measured.
        measured = [row for row in rows if row.fault != "meta_text"]
        verified = iter(await verify_rows(measured, verifier, scorer))
        drafts = [row.draft if row.fault == "meta_text" else next(verified) for row in rows]
        say("shuffled answers")
        drawn = Random("shuffled answers").sample(
            [draft for draft in drafts if draft.verification is not None], settings.num_shuffled_rows
        )
        return drafts, await score_shuffled([scored_row(draft) for draft in drawn], verifier, scorer)

    drafts, shuffled = asyncio.run(score())
    columns = [verification_row(draft.verification) for draft in drafts if draft.verification is not None]
    thresholds = choose_thresholds(ThresholdConfig(), [each for each in columns if each], shuffled)
    fates: dict[str, Counter[str]] = {}
    for row, draft in zip(rows, drafts, strict=True):
        fates.setdefault(row.fault or "sound", Counter())[what_becomes(row, draft, thresholds)] += 1
    sound = [draft for row, draft in zip(rows, drafts, strict=True) if row.fault is None]
    found = {fault: 1.0 - fates[fault]["kept"] / num_each for fault in FAULTS}
    in_need = sum(fates[kind][fate] for kind in ("sound", "wrong_marking") for fate in ("kept", "mended"))
    num_kept = sum(counts["kept"] + counts["mended"] for counts in fates.values())
    auc = aucs(sound, shuffled)
    figures: dict[str, float] = {
        "rows": len(rows),
        "planted_faults_found": sum(found.values()) / len(found),
        "false_alarms": 1.0 - fates["sound"]["kept"] / num_each,
        "share_needing_two_documents": in_need / num_kept,
    }
    if auc["evidence_gain"] is not None:
        figures["auc_shuffled"] = auc["evidence_gain"]
    measured: dict[str, Any] = {
        "fates": {kind: dict(counts) for kind, counts in fates.items()},
        "found": found,
        "auc": auc,
        "thresholds": asdict(thresholds),
        "signals": [
            {"row": draft.seed.seed_id, **(verification_row(draft.verification) or {})} for draft in drafts
        ],
        "shuffled": asdict(shuffled),
        "num_read_tokens": scorer.num_read_tokens,
    }
    if run_dir is not None:
        figures["added_prompt_token_share"], measured["run"] = added_prompt_share(run_dir)
    write_result(
        out, machine, figures, {"model": MODEL, "num_each": num_each, **settings.model_dump()}, measured, {}
    )
    say(", ".join(f"{name} {value:.3g}" for name, value in figures.items()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num", type=int, default=20, help="sound rows, and rows of each fault")
    parser.add_argument("--run", help="folder of a run with signals, for what its calls took")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    measure(arguments.num, arguments.run, arguments.out)


if __name__ == "__main__":
    main()
