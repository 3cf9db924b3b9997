"""One task of the probe: a model with one RoPE at one length. Any node that sees the model can do it."""

import time
from dataclasses import dataclass
from typing import Any

from app.config import EvaluateConfig, ProbeConfig, RunConfig, identity
from app.models.places import resolve_model
from app.models.rope import with_rope
from app.probing.criterion import summarize
from app.probing.questions import QuestionMaker
from app.records.probe import ReadingRecord
from app.run import fingerprint_of
from app.tokens import Tokenizer

SEED_SHIFT = 1_000_003
"""Other needles than the evaluation's, which the probe must not choose by."""
NOT_ASKED_BY = ("lengths_tokens", "depths_percent", "num_needles", "num_trials")
"""Settings of the evaluation's needles that the probe has values of its own for."""


def identity_of_questions(evaluate: EvaluateConfig, probe: ProbeConfig) -> dict[str, Any]:
    """The settings that decide what is asked, as JSON values by their names."""
    niah = {name: value for name, value in identity(evaluate.niah).items() if name not in NOT_ASKED_BY}
    return {"evaluate": {"niah": niah, "template": evaluate.template}, "probe": identity(probe)}


@dataclass(frozen=True)
class ReadingTask:
    """What to read, and with what."""

    name: str
    """Of the candidate, or of the trained stage."""
    weights: str
    """Model or folder with the weights."""
    weights_identity: str
    """What the weights are: a folder's name does not tell."""
    model: str
    """Model before the first stage: its configuration and tokenizer."""
    revision: str | None
    """Of the model."""
    rope_parameters: dict[str, Any]
    """As transformers has them."""
    length_tokens: int
    old_tokens: int
    """Longest sequence that the model was made for."""
    evaluate: EvaluateConfig
    """Needles, template and haystack."""
    probe: ProbeConfig
    seed: int

    def identity(self) -> dict[str, Any]:
        """All that decides the record but its name, as JSON values."""
        return {
            "weights": self.weights_identity,
            "model": self.model,
            "revision": self.revision,
            "rope_parameters": self.rope_parameters,
            "length_tokens": self.length_tokens,
            "old_tokens": self.old_tokens,
            **identity_of_questions(self.evaluate, self.probe),
            "seed": self.seed,
        }

    @property
    def file_name(self) -> str:
        """Name of the file that keeps the record: the same for the same reading."""
        return f"{fingerprint_of(self.identity())[:24]}.json"


def make_task(
    config: RunConfig,
    name: str,
    rope_parameters: dict[str, Any],
    length_tokens: int,
    old_tokens: int,
    weights: str | None = None,
    weights_identity: str | None = None,
) -> ReadingTask:
    """A reading with the settings of a run.

    Args:
        config: The run's settings.
        name: Of the candidate, or of the trained stage.
        rope_parameters: As transformers has them.
        length_tokens: Length of the texts.
        old_tokens: Longest sequence that the model was made for.
        weights: Folder of a trained stage's export. If omitted, the model before the first stage.
        weights_identity: What the folder's weights are.
    """
    model, revision = config.trained_model
    return ReadingTask(
        name=name,
        weights=weights or model,
        weights_identity=weights_identity or model,
        model=model,
        revision=revision,
        rope_parameters=rope_parameters,
        length_tokens=length_tokens,
        old_tokens=old_tokens,
        evaluate=config.evaluate or EvaluateConfig(),
        probe=config.probe,
        seed=config.seed,
    )


def read_task(task: ReadingTask) -> ReadingRecord:
    """Read all haystacks of a task, on a GPU if there is one.

    Raises:
        UserError: The model can't be asked, or the length is too short for any haystack.
    """
    import torch
    from transformers import AutoConfig

    from app.probing.reading import load_decoder, read

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # A CPU without instructions for bfloat16 is several times slower with it.
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    base = AutoConfig.from_pretrained(
        resolve_model(task.model), revision=task.revision, trust_remote_code=False
    )
    maker = QuestionMaker(
        task.evaluate,
        Tokenizer(task.model, task.revision),
        task.seed + SEED_SHIFT,
        task.length_tokens,
        task.probe.num_needles,
    )
    haystacks = [maker.make(trial) for trial in range(task.probe.num_haystacks)]
    decoder = load_decoder(
        resolve_model(task.weights),
        with_rope(base, task.rope_parameters, task.length_tokens),
        dtype,
        device,
        task.revision if task.weights == task.model else None,
    )
    started = time.perf_counter()
    readings = [read(decoder, haystack) for haystack in haystacks]
    seconds = time.perf_counter() - started
    return summarize(
        task.name,
        task.rope_parameters,
        task.length_tokens,
        task.old_tokens,
        haystacks,
        readings,
        seconds,
    )
