"""Settings of trainings, short: what a test does not name is any value that works."""

import json
from pathlib import Path
from typing import Any

from app.config import StageConfig, TrainConfig
from app.records.training import TokensRecord
from app.run import Run
from app.training.data.inputs import tokens_of

STAGE = {
    "name": "256k",
    "max_seq_tokens": 1024,
    "mix": {"texts": 1.0},
    "num_steps": 10,
    "batch_tokens": 8192,
    "learning_rate": 1e-5,
}


def stage_config(**changes: Any) -> StageConfig:
    return StageConfig.model_validate(STAGE | changes)


def train_config(*stages: StageConfig, **changes: Any) -> TrainConfig:
    values = {"model": "some/model", "sources": {"texts": {"path": "texts.txt"}}} | changes
    return TrainConfig.model_validate({"stages": list(stages) or [stage_config()], **values})


def begin_run(folder: Path) -> None:
    """A model's configuration in `model`, and a run in `run` whose tokens are there: what stages begin from."""
    (folder / "model").mkdir()
    settings = {"model_type": "llama", "max_position_embeddings": 512, "rope_theta": 10_000.0}
    (folder / "model" / "config.json").write_text(json.dumps(settings))
    record = TokensRecord(
        num_examples=1, num_tokens=1, num_rejects={}, num_without_response={}, fingerprint="tokens one"
    )
    tokens_of(Run(str(folder / "run")), "texts").complete(record)
