"""Stages: time, memory, remedies; and the operations and bytes of a real step of our trainer on a CPU."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from app.config import StageConfig, TrainMemoryConfig
from app.models.shape import shape_of
from app.planning.lengths import of_counts, of_mean
from app.planning.machines import Cluster
from app.planning.training import computed_flops, pairs_per_token, plan_stages
from app.recipe import load_config
from app.training.flops import flops_of_pairs
from app.training.memory.activations import save_activation_memory
from app.training.model import LanguageModel, build_decoder
from app.training.parallel.attention import PackedSequence
from benchmarks.allocations import record_allocations
from benchmarks.published import LLAMA_8B, MILLION, known_shape
from tests.models.known_models import TINY, configuration

NUM_TOKENS = 2048
SIZES = {
    "hidden_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "intermediate_size": 448,
}
CELLS = [
    TrainMemoryConfig(mlp_tile_tokens=256, loss_chunk_tokens=256),
    TrainMemoryConfig(loss_chunk_tokens=256),
    TrainMemoryConfig(keep_attention=False, loss_chunk_tokens=256),
    TrainMemoryConfig(checkpoint_activations=False, loss_chunk_tokens=256),
]
NAMES = ["tiles", "checkpoints", "again", "neither"]


def stage(**changes):
    settings = {
        "name": "s",
        "max_seq_tokens": 1000,
        "mix": {"a": 0.5, "b": 0.5},
        "num_steps": 1,
        "batch_tokens": 1000,
        "learning_rate": 1e-5,
    }
    return StageConfig.model_validate(settings | changes)


def plan_recipe(*overrides, lengths=None):
    config = load_config("llama3_8b_1m", overrides)
    return plan_stages(config, known_shape(LLAMA_8B), Cluster(config.plan), lengths or {})


def prepare(memory):
    """A small model of ours, ready for a step."""
    config = configuration(TINY, **SIZES)
    decoder = build_decoder(config)
    model = LanguageModel(decoder, memory.loss_chunk_tokens)
    save_activation_memory(
        model.layers,
        checkpoint_layers=memory.checkpoint_activations,
        offload=False,
        mlp_tile_tokens=memory.mlp_tile_tokens,
        keep_attention=memory.keep_attention,
    )
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
        parameter.grad = torch.zeros_like(parameter)
    return config, decoder, model


def step(model):
    tokens, positions = torch.arange(NUM_TOKENS) % 96, torch.arange(NUM_TOKENS)
    model(tokens, positions, tokens, PackedSequence((0, NUM_TOKENS))).backward()


@pytest.mark.parametrize("memory", CELLS, ids=NAMES)
def test_our_trainer_computes_what_is_planned(memory):
    config, decoder, model = prepare(memory)
    with FlopCounterMode(display=False) as counter:
        step(model)
    shape = shape_of(config)
    products = {"aten.mm", "aten.addmm", "aten.bmm"}
    counted = sum(
        flops for name, flops in counter.get_flop_counts()["Global"].items() if str(name) in products
    )
    # Attention is one kernel, which torch does not count on a CPU; norms are no products of matrices.
    norms = sum(p.numel() for name, p in decoder.named_parameters() if "norm" in name)
    passes = 8 if memory.checkpoint_activations else 6
    planned = computed_flops(shape, NUM_TOKENS, 0, memory) - passes * norms * NUM_TOKENS
    print(f"planned {planned:.4g}, counted {counted:.4g}, {planned / counted - 1:+.1%}")
    assert counted == pytest.approx(planned, rel=0.025)


@pytest.mark.parametrize("memory", CELLS, ids=NAMES)
def test_our_trainer_takes_the_memory_that_is_planned(memory, tmp_path):
    config, _, model = prepare(memory)
    with record_allocations() as peak:
        step(model)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"""
run_dir: {tmp_path}/run
train:
  model: {tmp_path}/model
  dtype: float32
  memory: {memory.model_dump_json()}
  sources: {{text: {{path: {tmp_path}/text}}}}
  stages:
    - {{name: s, max_seq_tokens: {NUM_TOKENS}, mix: {{text: 1.0}}, num_steps: 1, batch_tokens: {NUM_TOKENS},
        learning_rate: 1.0e-5}}
"""
    )
    settings = load_config(str(recipe))
    machines, [planned] = plan_stages(settings, shape_of(config), Cluster(settings.plan), {})
    assert not machines.device.is_gpu
    found = planned.memory
    activations = found.total_bytes - found.state_bytes - found.working_set_bytes
    print(
        f"planned {activations / 1e6:.2f} MB, measured {peak.peak_bytes / 1e6:.2f}, "
        f"{activations / peak.peak_bytes - 1:+.1%}"
    )
    assert peak.peak_bytes == pytest.approx(activations, rel=0.15)


@pytest.mark.parametrize(("keeps", "share"), [(False, 4 / 3), (True, 1.0)])
def test_attention_computed_again_is_a_third_more_at_a_million_tokens(keeps, share):
    shape, memory = known_shape(LLAMA_8B), TrainMemoryConfig(keep_attention=keeps)
    needed = flops_of_pairs(shape, MILLION, MILLION**2)
    assert computed_flops(shape, MILLION, MILLION**2, memory) / needed == pytest.approx(share, rel=0.015)


def test_documents_of_the_mix_give_the_pairs():
    lengths = {"a": of_counts([100]), "b": of_counts([10, 300])}
    # Of b, E[D²] / E[D] = (100 + 90,000) / 310.
    assert pairs_per_token(stage(), lengths) == pytest.approx(0.5 * 100 + 0.5 * 90_100 / 310)
    assert pairs_per_token(stage(mix={"a": 1.0, "unknown": 1.0}), lengths) == 0.5 * 100 + 0.5 * 1000
    assert pairs_per_token(stage(documents="separator"), lengths) == 1000
    assert pairs_per_token(stage(), {"a": of_mean(1e6), "b": of_mean(1e6)}) <= 1000


def test_groups_without_a_sequence_wait_for_the_others():
    _, even = plan_recipe("--train.num_workers", "32")
    # 4 sequences a step at a million tokens, for 4 groups, and for 3.
    _, uneven = plan_recipe("--train.num_workers", "24")
    assert uneven[2].step_sec == pytest.approx(2 * even[2].step_sec)
    assert even[2].longest_step_sec == pytest.approx(236, rel=0.05)


def test_what_does_not_fit_names_the_smallest_change():
    _, stages = plan_recipe("--train.memory", "{}", "--plan.nodes.train_gpu.gpu_memory_gib", "40")
    assert stages[0].faults == ()
    [fault] = stages[2].faults
    assert fault.startswith("train.stages.2.max_seq_tokens: 1048576 (stage ")
    assert "needs about 109.8 GiB a worker (" in fault
    assert "set train.stages.2.sequence_parallel_size 32" in fault
    assert stages[2].needs == "mlp_tile_tokens 4096 and offload_checkpoints"
    assert stages[2].least_size == 32


def test_the_least_group_leaves_no_worker_without_a_sequence():
    _, stages = plan_recipe()
    # One GPU a sequence would do, but 16 sequences a step are too few for 32 groups.
    assert stages[0].least_size == 2


def test_offloading_more_than_the_host_has_is_told():
    _, stages = plan_recipe("--plan.nodes.train_gpu.memory_gib", "200")
    assert stages[0].faults == ()
    assert stages[1].faults == (
        "train.stages.1: what is offloaded takes 258 GiB of a machine's 200; set train.memory.keep_attention false, or "
        "take machines with more memory",
    )
    assert stages[2].faults == (
        "train.stages.2: what is offloaded takes 516 GiB of a machine's 200; set its sequence_parallel_size higher, or "
        "take machines with more memory",
    )


def test_more_workers_than_the_cluster_has_are_told(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text("{head_node_type: head, available_node_types: {train_gpu: {max_workers: 2}}}")
    _, stages = plan_recipe("--plan.cluster", str(path))
    assert "train.num_workers 32 are more than the 16 GPUs" in stages[0].faults[0]
