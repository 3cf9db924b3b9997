# ruff: noqa: E501

import pytest

from app.config import TrainMemoryConfig
from app.models.shape import shape_of
from app.quantities import GIB
from app.training.memory.remedies import MemoryPlan, find_remedy
from tests.models.known_models import LLAMA_8B, configuration
from tests.training.train_settings import stage_config

FIELD = "train.stages.2"


@pytest.fixture(scope="module")
def shape():
    return shape_of(configuration(LLAMA_8B))


def plan_of(shape, tokens, num_workers=8, size=8, has_gpu=True, memory=None):
    stage = stage_config(
        max_seq_tokens=tokens, batch_tokens=tokens * num_workers, sequence_parallel_size=size
    )
    memory = memory or TrainMemoryConfig(keep_attention=False)
    return MemoryPlan(shape, stage, FIELD, memory, "bfloat16", num_workers, has_gpu)


def remedy(plan, gib, most_workers=4096):
    def fits(candidate):
        if candidate.num_workers > most_workers:
            return False
        return candidate.estimate().total_bytes <= gib * GIB

    assert not fits(plan)
    return find_remedy(plan, fits)


def test_one_setting_is_named_where_one_is_enough(shape):
    assert remedy(plan_of(shape, 262_144), 32.5) == "train.memory.mlp_tile_tokens 4096"
    tiled = TrainMemoryConfig(keep_attention=False, mlp_tile_tokens=2048)
    assert remedy(plan_of(shape, 262_144, memory=tiled), 25.5) == "train.memory.offload_checkpoints true"


def test_only_what_is_needed_of_several_is_named(shape):
    found = remedy(plan_of(shape, 1_048_576), 40)
    assert found == "train.memory.mlp_tile_tokens 4096 and train.memory.offload_checkpoints true"


def test_without_checkpointing_it_is_named_first(shape):
    kept = TrainMemoryConfig(checkpoint_activations=False)
    assert remedy(plan_of(shape, 262_144, memory=kept), 70) == "train.memory.checkpoint_activations true"


def test_attention_is_computed_again_where_nothing_else_is_left(shape):
    settings = {"mlp_tile_tokens": 4096, "loss_chunk_tokens": 512}
    again, kept = (
        plan_of(shape, 262_144, has_gpu=False, memory=TrainMemoryConfig(keep_attention=keep, **settings))
        for keep in (False, True)
    )
    enough = again.estimate().total_bytes / GIB + 0.1
    assert remedy(kept, enough) == "train.memory.keep_attention false"


def test_workers_that_are_there_share_a_sequence_before_more_are_asked_for(shape):
    tiled = TrainMemoryConfig(keep_attention=False, mlp_tile_tokens=4096, loss_chunk_tokens=512, offload_checkpoints=True, offload_optimizer=True)  # fmt: skip
    plan = plan_of(shape, 524_288, num_workers=16, size=2, memory=tiled)
    assert remedy(plan, 30) == f"{FIELD}.sequence_parallel_size 4"
    assert remedy(plan, 10) == f"{FIELD}.sequence_parallel_size 16"
    found = remedy(plan, 8)
    assert found == f"train.num_workers 32 and {FIELD}.sequence_parallel_size 32"


def test_what_nothing_fits_has_no_remedy(shape):
    assert remedy(plan_of(shape, 1_048_576), 1) is None
    assert remedy(plan_of(shape, 1_048_576), 12, most_workers=8) is None


def test_a_cpu_has_nowhere_to_move_anything(shape):
    found = remedy(plan_of(shape, 1_048_576, has_gpu=False), 60, most_workers=4096)
    assert "offload" not in found
