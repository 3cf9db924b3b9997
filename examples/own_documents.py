"""Your own documents to a dataset, written by the model of `laptop.yaml`.

.venv/bin/python examples/own_documents.py 'docs/*.md' runs/mine [--section.field VALUE ...]
"""

import sys

from app.jobs import run_job
from app.recipe import load_config

documents, run_dir, *overrides = sys.argv[1:]
settings = ["--corpus.sources.0.path", documents, "--run_dir", run_dir]
# A long output is a document itself, and guides are too short for that.
settings += ["--dataset.num_long_output_seeds", "0"]
run_job("synthesize", load_config("laptop", [*settings, *overrides]))
print(f"Three examples to read: {run_dir}/dataset/README.md")
