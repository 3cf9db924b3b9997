"""The rounds of a bootstrap, with settings and folder of each. From round 2 on, the extended model writes the
examples.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from app.config import Config, VllmConfig
from app.faults import UserError
from app.recipe import with_settings
from app.run import EXPORT_DIR, Run, round_folder
from app.storage import Folder

SHARED_SECTIONS = ("corpus", "retrieval")
"""Of these there is one for all rounds, as documents and index are made once."""
OWN_SETTINGS = (
    "run_dir",
    "train.model",
    "train.revision",
    "generator.model",
    "generator.revision",
    "bootstrap",
)
"""What the chain itself gives a later round."""


@dataclass(frozen=True)
class Round:
    """One pass from the documents to a report."""

    number: int
    """From 1."""
    config: Config
    run: Run


def rounds_of(config: Config, run: Run) -> Iterator[Round]:
    """All rounds in their order.

    Args:
        config: The recipe.
        run: The whole loop's folder; round 1 is in it, round N in its `roundN`.

    Raises:
        UserError: Settings of the later rounds that cannot be.
    """
    yield Round(1, config, run)
    before = run
    for number in range(2, config.bootstrap.rounds + 1):
        later = later_config(config, run.folder, number, before)
        before = Run(later.run_dir, documents_of=run)
        yield Round(number, later, before)


def later_config(config: Config, folder: Folder, number: int, before: Run) -> Config:
    """Settings of a round after the first.

    Args:
        config: The recipe.
        folder: Folder of the whole loop.
        number: Number of the round.
        before: The round before it.

    Raises:
        UserError: The generator is no model that could be replaced, or `bootstrap.later_rounds` cannot be.
    """
    assert config.train is not None
    if not isinstance(config.generator, VllmConfig):
        raise UserError(
            f"bootstrap.rounds: {config.bootstrap.rounds} needs a generator that the extended model can replace, "
            f"but generator.type is {config.generator.type}; give 1, or a generator of type vllm"
        )
    settings = config.bootstrap.later_rounds
    for name in settings:
        if name.split(".")[0] in SHARED_SECTIONS or name in OWN_SETTINGS:
            raise UserError(
                f"bootstrap.later_rounds: {name} is the same in all rounds, or set by the previous round; leave it out"
            )
    model, revision = config.trained_model
    export = before.stage(config.train.stages[-1].name).folder / EXPORT_DIR
    own = {
        "run_dir": round_folder(folder, number).uri,
        "train.model": model,
        "train.revision": revision,
        "generator.model": export.uri,
        "generator.revision": None,
    }
    try:
        later = with_settings(config, settings | own)
    except UserError as error:
        raise UserError(f"bootstrap.later_rounds: {error}") from error
    assert isinstance(later, Config)
    return later
