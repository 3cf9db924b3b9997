"""Trains stages of a retrieval model with this project's trainer, exports them and checks the exports.

torchrun --nproc-per-node N -m benchmarks.extension_stages CHAIN

CHAIN is the JSON file of a `Chain`. No Ray: it would start the very same trainer.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from app.config import TrainConfig
from app.run import EXPORT_DIR
from app.storage import Folder
from app.training.export.export import export_model, verify_export
from app.training.finishing import EXPORT_TOLERANCE
from app.training.loop import DTYPES, StageTask, StageTrainer, start_trainer
from benchmarks.record import run_measured, say

TIMEOUT_SEC = 3600.0
REPORTED_STEPS = 50
"""A line in the log for so many steps."""


@dataclass(frozen=True)
class Chain:
    """Stages that start from each other's weights."""

    train: dict[str, Any]
    """A TrainConfig's values."""
    model: str
    """Folder of the model before the first stage."""
    folders: list[str]
    """Of each stage; its data is there already."""
    first: int = 0
    """Stages before this one are trained already."""


def run_chain(chain: Chain, num_processes: int, log: Path) -> float:
    """Train a chain's stages in processes of their own and return the seconds that it took.

    Args:
        chain: The stages.
        num_processes: How many; they share sequences as the stages say.
        log: Takes what they print; the chain is put beside it.

    Raises:
        RuntimeError: They failed; carries the end of the log.
    """
    file = log.with_suffix(".json")
    file.write_text(json.dumps(asdict(chain)), "utf-8")
    arguments = ["--standalone", f"--nproc-per-node={num_processes}", "-m", "benchmarks.extension_stages"]
    return run_measured(
        "torch.distributed.run",
        [*arguments, str(file)],
        log,
        {"GLOO_SOCKET_IFNAME": "lo"},
        timeout_sec=TIMEOUT_SEC,
    )


def train_chain(chain: Chain) -> None:
    """Train and export every stage that is not trained yet; every process calls it."""
    train = TrainConfig.model_validate_json(json.dumps(chain.train))
    for index in range(chain.first, len(train.stages)):
        task = StageTask(
            train=train,
            index=index,
            model=chain.model,
            revision=None,
            folder=Folder(chain.folders[index]),
            previous=Folder(chain.folders[index - 1]) if index else None,
            run_name="extension",
            log_interval_sec=60.0,
        )
        trainer = start_trainer(task, torch.device("cpu"), _say_some)
        assert trainer is not None, "more processes than share a sequence"
        trainer.run()
        _export(trainer)


def _export(trainer: StageTrainer) -> None:
    task, train = trainer.task, trainer.task.train
    folder = task.folder / EXPORT_DIR
    dtype = DTYPES[train.export_dtype]
    export_model(trainer.model, trainer.workers, trainer.config, task.model, dtype, folder)
    verify_export(trainer.model, trainer.workers, folder, EXPORT_TOLERANCE[train.export_dtype])


def _say_some(line: str) -> None:
    # `base  step 50/700  loss …`
    step = line.partition("step ")[2].partition("/")[0].replace(",", "")
    if not step.isdecimal() or int(step) % REPORTED_STEPS in (0, 1):
        say(line)


def main(file: str) -> None:
    """What each process does."""
    dist.init_process_group("gloo")
    # Steps are small: a second thread waits more than it works, and on a busy machine it spins meanwhile.
    torch.set_num_threads(1)
    train_chain(Chain(**json.loads(Path(file).read_text("utf-8"))))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
