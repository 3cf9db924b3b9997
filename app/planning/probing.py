"""What the search for a stage's RoPE takes: each candidate reads some texts of the stage's length once."""

from app.config import RunConfig, StageConfig
from app.models.shape import ModelShape
from app.planning.machines import Machines
from app.planning.steps import PlannedStep
from app.probing.candidates import MOST_CANDIDATES
from app.training.flops import flops_of_pairs


def plan_search(config: RunConfig, stage: StageConfig, shape: ModelShape, machines: Machines) -> PlannedStep:
    """The search before a stage. A task reads on one worker's device; questions cost next to nothing.

    Args:
        config: The run's settings.
        stage: Searches its RoPE.
        shape: Sizes of the model.
        machines: The workers of the training.
    """
    num_readings = MOST_CANDIDATES * config.probe.num_haystacks
    # Forward alone: a third of forward and backward.
    flops = flops_of_pairs(shape, stage.max_seq_tokens, float(stage.max_seq_tokens) ** 2) / 3
    device_flops = machines.device.peak_flops * config.plan.prefill_share
    rounds = -(-MOST_CANDIDATES // machines.num_devices)
    return PlannedStep(
        f"RoPE of {stage.name}",
        f"{num_readings} readings of {stage.max_seq_tokens:,} tokens",
        machines,
        rounds * config.probe.num_haystacks * flops / device_flops,
        num_readings * flops,
    )
