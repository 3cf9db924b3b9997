"""The same dataset, written by a model behind an OpenAI-compatible endpoint; its key is read from OPENAI_API_KEY.

.venv/bin/python examples/endpoint_generator.py https://HOST/v1 MODEL TOKENIZER 'docs/*.md' runs/mine
"""

import json
import sys

from app.jobs import run_job
from app.recipe import load_config

url, model, tokenizer, documents, run_dir, *overrides = sys.argv[1:]
generator = {"type": "openai", "base_url": url, "model": model, "tokenizer": tokenizer}
settings = ["--generator", json.dumps(generator), "--corpus.sources.0.path", documents, "--run_dir", run_dir]
settings += ["--dataset.num_long_output_seeds", "0"]
run_job("synthesize", load_config("laptop", [*settings, *overrides]))
print(f"Calls and tokens to pay for: {run_dir}/dataset/README.md")
