"""Small runs for the report's tests: every artefact that it reads, and names that try to be HTML."""

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from app.config import Config
from app.dataset.card import write_card
from app.dataset.layout import SEPARATOR
from app.dataset.shards import EXAMPLES_DIR, write_shards
from app.dataset.statistics import REJECTS_DIR, compute_statistics
from app.progress.attempts import Attempt
from app.run import DOCUMENTS_DIR, Run
from app.schema import REJECT_SCHEMA
from tests.record_makers import corpus_record, gate_record, index_record, stage_record

ATTACK = """</script><script>alert("x")</script><img src=x onerror=alert(1)> & 'quoted'"""
STARTED_SEC = 1_790_000_000.0
STEPS = (
    ("corpus", 60.0, "done"),
    ("index", 240.0, "done"),
    ("synthesize", 1000.0, "running"),
    ("synthesize", 2000.0, "done"),
    ("train 256k", 3600.0, "done"),
    ("gate 256k", 300.0, "done"),
    ("train 512k", 1800.0, "failed"),
)
CALLS = {
    "answer": {
        "num_calls": 13,
        "num_prompt_tokens": 52_000,
        "num_output_tokens": 5200,
        "num_cached_tokens": 900,
    },
    "instruction": {
        "num_calls": 20,
        "num_prompt_tokens": 8000,
        "num_output_tokens": 1100,
        "num_cached_tokens": 0,
    },
}
SECTION = '<section class="scores"><h2>How long the context now is</h2><p>Needles</p></section>'


def make_config(run_dir, **settings):
    """Models whose sizes are known without their files."""
    stage = {"mix": {"long_input": 0.75, "long_output": 0.25}, "num_steps": 4, "learning_rate": 1e-5}
    llama = "meta-llama/Llama-3.2-1B-Instruct"
    node = {"num_gpus": 8, "price_per_hour": 36.0}
    values = {
        "run_dir": str(run_dir),
        "seed": 7,
        "corpus": {"sources": [{"path": f"docs/{ATTACK}/*.md"}]},
        "retrieval": {"model": "intfloat/e5-mistral-7b-instruct", "gpus_per_embed_actor": 1.0},
        "generator": {"type": "vllm", "model": llama},
        "dataset": {
            "num_long_input_seeds": 12,
            "num_long_output_seeds": 4,
            "target_lengths": [{"min_tokens": 4000, "max_tokens": 8000}],
        },
        "pipeline": {"gpus_per_actor": 1.0},
        "train": {
            "stages": [
                {"name": "256k", "max_seq_tokens": 262_144, "batch_tokens": 262_144, **stage},
                {"name": "512k", "max_seq_tokens": 524_288, "batch_tokens": 524_288, **stage},
            ],
            "gpus_per_worker": 1.0,
        },
        "serve": {"models": {"base": {"model": llama}, "256k": {"model": "stage:256k"}}},
        "evaluate": {"suites": ["niah"]},
        "bootstrap": {"gate": {"min_niah_percent": 80.0, "max_short_points_lost": 2.0}},
        "plan": {"nodes": {"generate_gpu": node, "train_gpu": node}},
    }
    return Config.model_validate(values | settings)


def make_run(folder: Path, **settings):
    """A run whose second stage failed; all before it is complete.

    Returns:
        Its settings and itself.
    """
    config, run = make_config(folder, **settings), Run(str(folder))
    run.write_config(config)
    _write_corpus(run)
    run.index.complete(index_record())
    _write_dataset(config, run)
    _write_training(run)
    gate_record().write(run.gates, "256k.json")
    run.evaluation_report.write_bytes("section.html", SECTION.encode())
    write_attempts(run, STEPS)
    return config, run


def write_attempts(run, steps):
    started = STARTED_SEC
    for step, seconds, outcome in steps:
        attempt = Attempt(step, started, started + seconds, 60.0, outcome, f"line of {step} {ATTACK}")
        (run.folder / "attempts").write_json(f"{started:.3f}-{step.replace(' ', '-')}.json", asdict(attempt))
        started += seconds + 10


def _write_corpus(run):
    counts = pa.table({"num_tokens": pa.array([3000, 9000, 4000], pa.int64())})
    (run.corpus.folder / DOCUMENTS_DIR).write_table("part-00000-000.parquet", counts)
    num_rejects = {"dedup": {"near duplicate": 1}, "read": {ATTACK: 1}}
    run.corpus.complete(corpus_record(num_rejects=num_rejects))


def _write_dataset(config, run):
    dataset = run.dataset.folder
    rows = [_row(index) for index in range(11)] + [_row(index, "long_output") for index in range(2)]
    write_shards(rows, len(rows), dataset / EXAMPLES_DIR, rows_per_shard=100, row_group_bytes=1_000_000)
    rejects = [
        ("s1", "filters", "refusal", ATTACK),
        ("s2", "filters", "refusal", "x"),
        ("s3", "answer", "form", ""),
    ]
    names = REJECT_SCHEMA.names
    table = pa.Table.from_pylist([dict(zip(names, each, strict=True)) for each in rejects], REJECT_SCHEMA)
    (dataset / REJECTS_DIR).write_table("rejects.parquet", table)
    statistics = compute_statistics(dataset, CALLS)
    write_card(dataset, config, statistics)
    run.dataset.complete(statistics.counts)


def _row(index, kind="long_input"):
    instruction = f"Compare flood {index} with the next. {ATTACK}"
    documents = f"Document 1\n{ATTACK} " + "Rain fell. " * 400
    user = f"{documents}{SEPARATOR}{instruction}" if kind == "long_input" else instruction
    return {
        "example_id": f"{kind}-{index:06d}",
        "kind": kind,
        "task": "compare" if kind == "long_input" else "write",
        "messages": [{"role": "user", "content": user}, {"role": "assistant", "content": f"Answer {index}."}],
        "num_tokens": 4000 + 300 * index,
        "document_ids": ["d1", "d2"],
        "evidence_ids": ["d1:00000"] if kind == "long_input" else [],
        "evidence_depths": [index / 12] if kind == "long_input" else [],
        "evidence_spans": [[0, 9]] if kind == "long_input" else [],
        "generator": "writer",
        "prompt_version": "1",
        "instruction": instruction,
        "task_data": None,
        "verification": None,
    }


def _write_training(run):
    stage = run.stage("256k")
    losses = (3.0, None, 2.0, 1.0)
    _write_steps(stage, [step_record("256k", step, 262_144, loss) for step, loss in enumerate(losses, 1)])
    (stage.folder / "export").write_bytes("model.safetensors", b"x" * 5000)
    stage.complete(stage_record())
    _write_steps(run.stage("512k"), [step_record("512k", 1, 524_288, 1.5)])


def _write_steps(stage, records):
    stage.folder.write_bytes(
        "metrics.jsonl", "".join(json.dumps(record) + "\n" for record in records).encode()
    )


def step_record(stage, step, batch_tokens, loss):
    return {
        "stage": stage,
        "step": step,
        "num_steps": 4,
        "loss": loss,
        "learning_rate": 1e-5,
        "grad_norm": 1.0 / step,
        "tokens_seen": step * batch_tokens,
        "tokens_per_sec_per_device": 1200.0 + step,
        "mfu": 0.4,
        "peak_memory_bytes": 60_000_000_000 + step,
        "step_sec": 200.0,
        "sec_left": 0.0,
        "is_gpu": True,
        "time": "2026-11-22T11:57:05+00:00",
    }
