"""What decides a dataset."""

from typing import Any

from app.agent.prompts import PROMPT_VERSION
from app.config import Config, identity
from app.dataset.structure.tasks import STRUCTURE_VERSION
from app.records.dataset import DatasetRecord
from app.records.documents import IndexRecord
from app.run import Artefact, read_identity


def identity_of_dataset(config: Config, index: IndexRecord) -> dict[str, Any]:
    """All that decides what a dataset is, as JSON values.

    Args:
        config: The run's settings.
        index: What documents are found with.
    """
    return {
        "seed": config.seed,
        "generator": identity(config.generator),
        "agent": identity(config.agent),
        "dataset": identity(config.dataset),
        "prompt_version": PROMPT_VERSION,
        "structure_version": STRUCTURE_VERSION,
        "index": index.values(),
    }


def tokenizer_of(dataset: Artefact[DatasetRecord]) -> tuple[str, str | None]:
    """Model whose tokenizer a dataset was measured with, and its revision, as its identity has them."""
    made_with = read_identity(dataset.folder)
    assert made_with is not None, "a dataset is claimed before it is made"
    if own := made_with["dataset"].get("tokenizer"):
        return own, None
    generator = made_with["generator"]
    return generator.get("tokenizer") or generator["model"], generator.get("revision")
