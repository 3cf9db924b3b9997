"""Records of artefacts, whole: what a test does not name is any value of the right type."""

from typing import Any

from app.records.dataset import DatasetRecord
from app.records.documents import CorpusRecord, IndexRecord
from app.records.gate import GateRecord
from app.records.probe import ReadingRecord
from app.records.training import StageRecord


def corpus_record(**changes: Any) -> CorpusRecord:
    values: dict[str, Any] = {
        "num_documents": 3,
        "num_passages": 640,
        "num_tokens": 16_000,
        "num_chars": 64_000,
        "max_document_tokens": 9000,
        "num_rows": 5,
        "num_rejects": {"dedup": {"near duplicate": 1}},
        "reject_share": 0.0,
        "decontamination": {"num_files": 0, "num_strings": 0, "num_ngrams": 0},
        "fingerprint": "feed" * 16,
    }
    return CorpusRecord.model_validate(values | changes)


def index_record(**changes: Any) -> IndexRecord:
    values: dict[str, Any] = {
        "retrieval": {
            "model": "some/embedder",
            "revision": None,
            "model_files": "0123456789abcdef",
            "query_prefix": "query: ",
            "passage_prefix": "passage: ",
            "embedding_tokens": 512,
            "dtype": "float32",
            "dim": 4096,
        },
        "corpus": {"fingerprint": "feed" * 16},
        "dim": 4096,
        "metric": "inner_product",
        "num_vectors": 640,
        "build": {
            "index_factory": "Flat",
            "num_training_vectors": 1_000_000,
            "num_recall_queries": 200,
            "seed": 0,
        },
        "versions": {},
        "nprobe": 64,
        "recall_at_10": 0.985,
    }
    return IndexRecord.model_validate(values | changes)


def dataset_record(**changes: Any) -> DatasetRecord:
    values: dict[str, Any] = {
        "num_examples": 1,
        "num_tokens": 4000,
        "num_rejects": 0,
        "kinds": {},
        "rejects": [],
        "calls": {},
    }
    return DatasetRecord.model_validate(values | changes)


def stage_record(name: str = "256k", logit_difference: float = 0.004, **changes: Any) -> StageRecord:
    """`changes` are of the stage's facts."""
    facts: dict[str, Any] = {
        "name": name,
        "max_seq_tokens": 262_144,
        "rope_parameters": {"rope_theta": 8_000_000.0},
        "mix": {"long_input": 1.0},
        "num_tokens": 1_048_576,
        "learning_rate": 1e-5,
        "losses": [],
    }
    facts |= changes
    export = {
        "dtype": "bfloat16",
        "num_parameters": 1,
        "max_position_embeddings": facts["max_seq_tokens"],
        "rope_parameters": facts["rope_parameters"],
        "files": {},
        "logit_difference": logit_difference,
    }
    return StageRecord.model_validate({"stage": facts, "sources": [], "export": export})


def reading_record(
    name: str,
    num_found: int,
    loss_beyond: float | None,
    loss: float = 3.0,
    base: float = 156_250.0,
    length_tokens: int = 10_240,
) -> ReadingRecord:
    """Of ten needles."""
    return ReadingRecord(
        name=name,
        rope_parameters={"rope_type": "default", "rope_theta": base},
        length_tokens=length_tokens,
        num_found=num_found,
        num_asked=10,
        found_shares={"0": 1.0},
        answer_loss=1.0,
        loss=loss,
        loss_beyond=loss_beyond,
        positions=[length_tokens // 4, 3 * length_tokens // 4],
        losses=[loss, loss],
        seconds=1.0,
    )


def gate_record(
    found: float | None = 91.25,
    before: float | None = 52.0,
    after: float = 50.5,
    length_tokens: int = 262_144,
) -> GateRecord:
    """`found` None: needles were not asked for; `before` None: short tasks were not."""
    niah = {"model": "256k", "length_tokens": length_tokens, "percent": found}
    short = {"base": "base", "model": "256k", "base_percent": before, "percent": after}
    return GateRecord.model_validate(
        {
            "asked": {},
            "niah": None if found is None else niah,
            "short": None if before is None else short,
        }
    )
