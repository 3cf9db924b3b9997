"""The recipes that ship: their models are trained as they are, and what they ask for fits their machines."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.models.rope import rope_parameters_of
from app.models.shape import transformers_config
from app.planning.plan import make_plan
from app.recipe import RECIPES_DIR, load_config
from app.training.architecture import check_architecture

QWEN3_4B = {
    "model_type": "qwen3",
    "attention_bias": False,
    "attention_dropout": 0.0,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "max_position_embeddings": 262144,
    "max_window_layers": 36,
    "num_attention_heads": 32,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 5000000,
    "sliding_window": None,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
    "vocab_size": 151936,
}
"""config.json of Qwen/Qwen3-4B-Instruct-2507."""
MISTRAL_7B = {
    "model_type": "mistral",
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-05,
    "rope_theta": 1000000.0,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "vocab_size": 32768,
}
"""config.json of mistralai/Mistral-7B-Instruct-v0.3."""
RECIPES: list[tuple[str, dict[str, Any], list[float]]] = [
    ("qwen3_4b_1m_node", QWEN3_4B, [20e6, 80e6]),
    ("mistral_7b_256k_node", MISTRAL_7B, [16e6, 64e6]),
]
"""Recipe, sizes of its model, and the RoPE bases of its stages by the paper's rule."""
FOR_GPUS = sorted(path.stem for path in RECIPES_DIR.glob("*.yaml") if path.stem != "laptop")


def with_sizes(name: str, sizes: dict[str, Any], folder: Path) -> Any:
    """A recipe whose model's sizes are known without a hub."""
    (folder / "config.json").write_text(json.dumps(sizes))
    models = ("--generator.model", "--serve.models.base.model")
    return load_config(name, [text for option in models for text in (option, str(folder))])


@pytest.mark.parametrize("name", FOR_GPUS)
def test_all_of_a_recipe_is_known_and_fits(name):
    plan = make_plan(load_config(name))
    assert plan.faults == []
    assert [note for note in plan.notes if note.startswith("Not known")] == []
    assert {"corpus", "index", "synthesize"} <= {step.name for step in plan.steps}


@pytest.mark.parametrize(
    ("name", "sizes", "bases"), RECIPES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_recipe_fits_its_machine(name, sizes, bases, tmp_path):
    config = with_sizes(name, sizes, tmp_path)
    plan = make_plan(config)
    assert plan.faults == []
    assert [note for note in plan.notes if note.startswith("Not known")] == []
    # Steps follow each other on the one machine, which has 8 GPUs.
    assert all(step.machines.num_nodes == 1 for step in plan.steps if step.machines)
    assert all(step.machines.num_devices <= 8 for step in plan.steps if step.machines and step.gpu_hours)
    assert config.serve is not None
    assert sum(served.gpus_per_replica for served in config.serve.models.values()) <= 8


@pytest.mark.parametrize(
    ("name", "sizes", "bases"), RECIPES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_recipes_model_is_trained_with_the_papers_bases(name, sizes, bases, tmp_path):
    train = with_sizes(name, sizes, tmp_path).train
    config = transformers_config("train.model", name, sizes)
    check_architecture(config)
    found = [rope_parameters_of(config, train.stages, index)["rope_theta"] for index in range(len(bases))]
    assert found == bases
