"""The settings of a preview of a dataset."""

from typing import Any

from app.config import Config
from app.recipe import with_settings
from app.viewing.sampling import share_out

SEED_SETTINGS = ("num_long_input_seeds", "num_long_output_seeds", "num_structure_seeds")


def preview_config(config: Config) -> Config:
    """The settings of the preview of a run: the first of the run's own seeds, one at a time.

    Args:
        config: The run's settings.

    Returns:
        Settings with the same `run_dir`, which make fewer seeds and publish nothing.
    """
    dataset, pipeline = config.dataset, config.pipeline
    parts = share_out(config.preview.num_seeds, {name: getattr(dataset, name) for name in SEED_SETTINGS})
    at_once = min(max(1, sum(parts.values())), pipeline.rows_per_batch * pipeline.batches_per_actor)
    settings: dict[str, Any] = {f"dataset.{name}": number for name, number in parts.items()}
    settings |= {
        # A preview is there to show rejects, however many.
        "dataset.max_reject_share": 1.0,
        "dataset.exports": [],
        "dataset.publish.repo": None,
        # So few rows give no thresholds, and shuffled answers take an engine of their own.
        "agent.verification.num_shuffled_rows": 0,
        "pipeline.min_actors": 1,
        "pipeline.max_actors": 1,
        # Each row is written as soon as it is done.
        "pipeline.rows_per_batch": 1,
        "pipeline.batches_per_actor": at_once,
        "progress.num_shown_examples": 0,
    }
    changed = with_settings(config, settings)
    assert isinstance(changed, Config)
    return changed
