"""Read a finished dataset with the `datasets` library: how long its examples are, and one of them.

.venv/bin/python examples/read_dataset.py runs/mine
"""

import sys

from datasets import load_dataset

[run_dir] = sys.argv[1:]
examples = load_dataset(f"{run_dir}/dataset", split="train")
lengths = sorted(examples["num_tokens"])
print(f"{len(lengths)} examples of {lengths[0]:,} to {lengths[-1]:,} tokens")
documents_and_instruction, answer = examples[0]["messages"]
print(f"… {documents_and_instruction['content'][-300:]}\n→ {answer['content'][:300]}")
