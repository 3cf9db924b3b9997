"""Train a model on your own chats, packed to sequences of 10,240 tokens; a row has `messages`, in JSONL or Parquet.

.venv/bin/python examples/train_on_chats.py bundled:smollm2-135m-instruct chats.jsonl runs/chats
"""

import sys

from app.config import RunConfig, StageConfig, TrainConfig, TrainSourceConfig
from app.jobs import run_job

model, chats, run_dir = sys.argv[1:]
stage = StageConfig(
    name="10k", max_seq_tokens=10240, mix={"chats": 1.0}, num_steps=2, batch_tokens=10240, learning_rate=1e-5
)
train = TrainConfig(model=model, sources={"chats": TrainSourceConfig(path=chats)}, stages=[stage])
run_job("train", RunConfig(run_dir=run_dir, train=train))
print(f"transformers and vLLM load it: {run_dir}/train/10k/export")
