"""Speeches and a novel: the part of the bundled sample that does not state the facts in question."""

import gzip
import json
from importlib import resources

_PROSE = ("/sotu", "/moby-dick")
"""The World Factbook, which is in the sample too, states capitals, languages and currencies on every page."""


def bundled_prose() -> str:
    """The documents that tell and argue, one after another."""
    sample = resources.files("app.models.bundled").joinpath("data/public_domain_sample.jsonl.gz")
    with sample.open("rb") as packed, gzip.open(packed, "rt", encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    return "\n\n".join(document["text"] for document in documents if document["source"].endswith(_PROSE))
