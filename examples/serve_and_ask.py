"""Serve a model behind an OpenAI-compatible URL and ask it one question.

.venv/bin/python examples/serve_and_ask.py bundled:smollm2-135m-instruct 'What is a whale?'
"""

import json
import sys

from openai import OpenAI

from app.cluster.connection import connect
from app.recipe import load_config
from app.serving.server import serving

model, question, *overrides = sys.argv[1:]
models = {"mine": {"model": model, "cpu_kv_cache_gib": 1}}
config = load_config("laptop", ["--serve.models", json.dumps(models), *overrides])
with connect(config.ray), serving(config, print) as url:
    chat = OpenAI(base_url=url, api_key="none").chat.completions
    reply = chat.create(model="mine", messages=[{"role": "user", "content": question}], max_tokens=64)
print(reply.choices[0].message.content)
