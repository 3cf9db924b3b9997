"""One model, from random weights to eight times its length, by every way that is compared."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from app.config import OptimizerConfig, StageConfig, TrainConfig, TrainMemoryConfig, TrainSourceConfig
from app.models.rope import raise_base
from app.run import DATA_DIR, EXPORT_DIR
from app.storage import Folder
from benchmarks.extension_model import (
    ROPE_BASE,
    ModelSize,
    Retrieval,
    load_model,
    measure_retrieval,
    save_random_model,
)
from benchmarks.extension_stages import Chain, run_chain
from benchmarks.extension_task import RetrievalTask, write_documents
from benchmarks.record import say

SOURCE = "retrieval"
_EVALUATION = 1_000_000


@dataclass(frozen=True)
class Setup:
    """What a run depends on, but for the seed."""

    task: RetrievalTask = field(default_factory=RetrievalTask)
    size: ModelSize = field(default_factory=ModelSize)
    base_tokens: int = 128
    """Length that the base is trained at."""
    factors: tuple[int, ...] = (2, 4, 8)
    """Lengths of the progressive stages over the base's; one step goes to the last of them."""
    base_steps: int = 500
    base_batch_tokens: int = 1024
    base_learning_rate: float = 1e-3
    extension_steps: int = 24
    """Of one step, and of all progressive stages together."""
    extension_batch_tokens: int = 4096
    extension_learning_rate: float = 3e-4
    extension_warmup_steps: int = 2
    """Of every stage."""
    sequence_parallel_size: int = 2
    """Processes that share each sequence of the extensions."""
    num_documents: int = 64
    """Fresh ones at each length, the same for every variant."""
    num_depths: int = 8
    """Parts of the haystack that are told apart."""

    @property
    def lengths(self) -> list[int]:
        return [self.base_tokens * factor for factor in (1, *self.factors)]

    @property
    def extension_tokens(self) -> int:
        """That an extension is trained on."""
        return self.extension_steps * self.extension_batch_tokens

    @property
    def raised_base(self) -> float:
        """RoPE base of the longest length, by the paper's rule."""
        return raise_base(ROPE_BASE, self.base_tokens, self.lengths[-1])


class Experiment:
    """One seed's models.

    Args:
        setup: The same for all seeds.
        seed: Of weights and documents.
        folder: Takes everything.
    """

    def __init__(self, setup: Setup, seed: int, folder: Path) -> None:
        self.setup, self.seed, self.folder = setup, seed, folder
        self.num_parameters = 0
        self.sec: dict[str, float] = {}
        """Part → how long it took, start of its processes included."""

    def train_base(self) -> Path:
        """A model that retrieves at its own length, from nothing; returns its folder."""
        setup = self.setup
        self.folder.mkdir(parents=True, exist_ok=True)
        self.num_parameters = save_random_model(
            self.folder / "random", setup.size, setup.task.vocab_size, setup.base_tokens, self.seed
        )
        return self._run("base", [self._base_stage()], first=0, num_processes=1)[-1]

    def extend_in_one_step(self) -> Path:
        """The base after one stage at the longest length."""
        stage = self._extension_stage(self.setup.factors[-1], self.setup.extension_steps)
        return self._extend("one_step", [stage])[-1]

    def extend_progressively(self) -> list[Path]:
        """The base after each of the stages."""
        factors = self.setup.factors
        num_steps, left = divmod(self.setup.extension_steps, len(factors))
        assert not left, (
            f"{self.setup.extension_steps} steps are no whole number for each of {len(factors)} stages"
        )
        return self._extend("progressive", [self._extension_stage(factor, num_steps) for factor in factors])

    def retrieval(self, model: Path, rope_theta: float | None = None) -> dict[int, Retrieval]:
        """How well an exported model retrieves at each length, if need be with another RoPE base."""
        setup, found = self.setup, {}
        decoder = load_model(model, rope_theta, setup.lengths[-1])
        for length in setup.lengths:
            random = np.random.default_rng([self.seed, _EVALUATION, length])
            found[length] = measure_retrieval(
                decoder, setup.task, length, setup.num_documents, setup.num_depths, random
            )
        accuracies = "  ".join(f"{length:,}: {result.accuracy:.1%}" for length, result in found.items())
        say(f"seed {self.seed}, {model.parent.relative_to(self.folder)}: {accuracies}")
        return found

    def _extend(self, name: str, stages: Sequence[StageConfig]) -> list[Path]:
        stages = [self._base_stage(), *stages]
        return self._run(name, stages, first=1, num_processes=self.setup.sequence_parallel_size)

    def _run(self, name: str, stages: Sequence[StageConfig], first: int, num_processes: int) -> list[Path]:
        """Write the stages' data, train them, and return the folders of the exported models, the base's first."""
        names = ["base", *(f"{name}-{stage.name}" for stage in stages[1:])]
        folders = [self.folder / folder for folder in names]
        for index, stage in enumerate(stages[first:], start=first):
            random = np.random.default_rng([self.seed, *names[index].encode()])
            data = Folder(str(folders[index] / DATA_DIR))
            num_documents = stage.total_steps * stage.sequences_per_step
            write_documents(data, self.setup.task, stage.max_seq_tokens, num_documents, random)
        train = TrainConfig(
            sources={SOURCE: TrainSourceConfig()},
            stages=list(stages),
            dtype="float32",
            export_dtype="float32",
            optimizer=OptimizerConfig(),
            memory=TrainMemoryConfig(checkpoint_activations=False),
            num_workers=num_processes,
            # The last step's is always written, and no other is needed.
            steps_per_checkpoint=max(stage.total_steps for stage in stages),
        )
        values: Mapping[str, Any] = train.model_dump(mode="json")
        chain = Chain(dict(values), str(self.folder / "random"), [str(folder) for folder in folders], first)
        told = ", ".join(f"{stage.total_steps} steps at {stage.max_seq_tokens:,}" for stage in stages[first:])
        log = self.folder / f"{name}.log"
        say(f"seed {self.seed}, {name}: {told} tokens; log: {log}")
        self.sec[name] = run_chain(chain, num_processes, log)
        return [folder / EXPORT_DIR for folder in folders]

    def _base_stage(self) -> StageConfig:
        setup = self.setup
        return StageConfig(
            name="base",
            max_seq_tokens=setup.base_tokens,
            mix={SOURCE: 1.0},
            num_steps=setup.base_steps,
            batch_tokens=setup.base_batch_tokens,
            learning_rate=setup.base_learning_rate,
            warmup_steps=20,
        )

    def _extension_stage(self, factor: int, num_steps: int) -> StageConfig:
        """No RoPE base is named: the stage raises it by the paper's rule."""
        setup = self.setup
        return StageConfig(
            name=f"{factor}x",
            max_seq_tokens=setup.base_tokens * factor,
            mix={SOURCE: 1.0},
            num_steps=num_steps,
            batch_tokens=setup.extension_batch_tokens,
            learning_rate=setup.extension_learning_rate,
            warmup_steps=setup.extension_warmup_steps,
            sequence_parallel_size=setup.sequence_parallel_size,
        )


def run_seed(setup: Setup, seed: int, folder: Path) -> dict[str, Any]:
    """Train and measure all variants with one seed.

    Returns:
        JSON values: accuracy by variant and length, by variant and depth at the longest length, after each
        progressive stage, and what it took.
    """
    experiment = Experiment(setup, seed, folder)
    base = experiment.train_base()
    found = {
        "base": experiment.retrieval(base),
        "rope_only": experiment.retrieval(base, setup.raised_base),
        "one_step": experiment.retrieval(experiment.extend_in_one_step()),
    }
    stages = {
        factor: experiment.retrieval(model)
        for factor, model in zip(setup.factors, experiment.extend_progressively()[1:], strict=True)
    }
    found["progressive"] = stages[setup.factors[-1]]
    return {
        "seed": seed,
        "num_parameters": experiment.num_parameters,
        "accuracy": {variant: _accuracies(results) for variant, results in found.items()},
        "accuracy_by_depth": {
            variant: results[setup.lengths[-1]].by_depth for variant, results in found.items()
        },
        "accuracy_after_progressive_stage": {
            f"{factor}x": _accuracies(results) for factor, results in stages.items()
        },
        "sec": experiment.sec,
        "setup": asdict(setup),
    }


def _accuracies(results: Mapping[int, Retrieval]) -> dict[int, float]:
    return {length: result.accuracy for length, result in results.items()}
