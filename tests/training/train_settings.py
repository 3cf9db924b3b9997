"""Settings of trainings, short: what a test does not name is any value that works."""

from typing import Any

from app.config import StageConfig, TrainConfig

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
