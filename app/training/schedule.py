"""The learning rate of a step. It depends only on the stage's settings and the step's number."""

import math

from app.config import StageConfig


def learning_rate_at(stage: StageConfig, step: int) -> float:
    """Learning rate of a step, counted from 0.

    It rises evenly over the warmup's steps, none of which has a rate of 0, is whole at step `warmup_steps`, and from
    there stays, or falls on a line or half a cosine (arXiv 1608.03983) to its least share at the stage's last step.
    """
    if step < stage.warmup_steps:
        return stage.learning_rate * (step + 1) / (stage.warmup_steps + 1)
    num_falling_steps = stage.total_steps - 1 - stage.warmup_steps
    if stage.schedule == "constant" or num_falling_steps <= 0:
        return stage.learning_rate
    progress = min((step - stage.warmup_steps) / num_falling_steps, 1.0)
    height = 1.0 - progress if stage.schedule == "linear" else (1.0 + math.cos(math.pi * progress)) / 2
    least = stage.min_learning_rate_share
    return stage.learning_rate * (least + (1.0 - least) * height)
