# ruff: noqa: E501

import pytest
import yaml

from app.faults import UserError
from app.models.rope import (
    check_served_tokens,
    max_tokens_of,
    raise_base,
    rope_of,
    rope_parameters_of,
    with_rope,
)
from tests.models.known_models import LLAMA_3_ROPE, LLAMA_8B, TINY, configuration
from tests.training.train_settings import stage_config


def stages(*lengths, **changes):
    return [
        stage_config(name=str(tokens), max_seq_tokens=tokens, batch_tokens=tokens, **changes)
        for tokens in lengths
    ]


def test_the_papers_bases():
    config = configuration(LLAMA_8B)
    chain = stages(262_144, 524_288, 1_048_576)
    found = [rope_parameters_of(config, chain, index)["rope_theta"] for index in range(3)]
    assert found == [2e6, 8e6, 32e6]
    # In one step as in three.
    assert rope_parameters_of(config, stages(1_048_576), 0)["rope_theta"] == 32e6


def test_the_rest_of_the_models_own_block_stays():
    config = configuration(LLAMA_8B)
    found = rope_parameters_of(config, stages(262_144), 0)
    assert found == LLAMA_3_ROPE | {"rope_theta": 2e6}
    assert config.rope_parameters["rope_theta"] == 500_000


def test_a_base_never_falls():
    config = configuration(LLAMA_8B)
    assert raise_base(500_000, 131_072, 65_536) == 500_000
    chain = stages(65_536, 131_072, 262_144)
    found = [rope_parameters_of(config, chain, index)["rope_theta"] for index in range(3)]
    assert found == [500_000, 500_000, 2e6]


def test_a_named_base_holds_and_is_gone_on_from():
    config = configuration(LLAMA_8B)
    chain = [*stages(262_144, rope_theta=3e6), *stages(524_288, 524_289)]
    found = [rope_parameters_of(config, chain, index)["rope_theta"] for index in range(3)]
    assert found == pytest.approx([3e6, 12e6, 12e6], rel=1e-5)


def gemma3(**changes):
    settings = {"model_type": "gemma3_text", "rope_parameters": None, "max_position_embeddings": 32_768}
    return configuration(TINY, **settings | changes)


def test_where_kinds_of_layers_have_a_rope_each_only_that_of_full_attention_grows():
    config = gemma3()
    found = rope_parameters_of(config, stages(65_536), 0)
    assert found == {"rope_type": "default", "rope_theta": 4e6}
    final = with_rope(config, found, 65_536)
    assert rope_of(final) == found
    assert final.rope_parameters["sliding_attention"] == {"rope_type": "default", "rope_theta": 10_000.0}
    assert rope_of(config)["rope_theta"] == 1e6
    assert max_tokens_of(final) == 65_536


def test_a_block_of_a_stage_is_that_of_full_attention():
    config = gemma3()
    block = {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0}
    final = with_rope(config, rope_parameters_of(config, stages(131_072, rope_parameters=block), 0), 131_072)
    assert final.rope_parameters["full_attention"] == block
    assert final.rope_parameters["sliding_attention"]["rope_theta"] == 10_000.0
    # Gemma 3's length is the one after scaling, for transformers as for vLLM.
    assert final.max_position_embeddings == max_tokens_of(final) == 131_072


def test_a_block_replaces_the_models():
    config = configuration(LLAMA_8B)
    yarn = {"rope_type": "yarn", "rope_theta": 5e5, "factor": 4.0, "original_max_position_embeddings": 131072}
    chain = [*stages(524_288, rope_parameters=yarn), *stages(1_048_576)]
    assert rope_parameters_of(config, chain, 0) == yarn
    assert rope_parameters_of(config, chain, 1) == yarn | {"rope_theta": 2e6}
    plain = stages(262_144, rope_parameters={"rope_theta": 1e6})
    assert rope_parameters_of(config, plain, 0) == {"rope_type": "default", "rope_theta": 1e6}


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"rope_type": "yarn", "factor": 4.0}, r"train\.stages\.64\.rope_parameters: .* has no rope_theta above 0; give one"),
        *(({"rope_type": "default", "rope_theta": base}, r"rope_parameters: .* has no rope_theta above 0; give one") for base in ("big", True, 0.0, -1e4, float("nan"), float("inf"))),
        *(({"rope_type": "linear", "rope_theta": 1e4, "factor": factor}, r"rope_parameters: .* has a factor that is no number above 0; give one") for factor in ("four", 0, -4.0, float("nan"))),
        ({"rope_type": "dynamic", "rope_theta": 1e6, "factor": 2.0}, r"train\.stages\.64\.rope_parameters: rope_type 'dynamic' is not fixed .*; give one of default, "),
        ({"rope_type": "longrope", "rope_theta": 1e6}, r"rope_type 'longrope' is not fixed"),
        ({"rope_type": "yarn", "rope_theta": 1e6}, r"train\.stages\.64\.rope_parameters: .*factor"),
    ],
)  # fmt: skip
def test_a_block_that_cannot_be_trained_is_refused(block, expected):
    with pytest.raises(UserError, match=expected):
        rope_parameters_of(configuration(TINY), stages(64, rope_parameters=block), 0)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"model_type": "gpt2"}, r"train\.model: gpt2 has no RoPE with one base"),
        ({"model_type": "opt"}, r"train\.model: opt has no RoPE with one base"),
        (TINY | {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, r"train\.model: rope_parameters: rope_type 'dynamic' is not fixed"),
    ],
)  # fmt: skip
def test_a_model_whose_rope_cannot_be_stretched_is_refused(settings, expected):
    with pytest.raises(UserError, match=expected):
        rope_parameters_of(configuration(settings), stages(64), 0)


def test_an_exported_configuration_says_what_it_was_trained_with():
    config = configuration(LLAMA_8B)
    parameters = rope_parameters_of(config, stages(262_144), 0)
    changed = with_rope(config, parameters, 262_144)
    assert changed.rope_parameters == parameters
    assert changed.max_position_embeddings == 262_144
    assert config.max_position_embeddings == 131_072
    assert with_rope(config, parameters, 1000).max_position_embeddings == 131_072
    # As a loader finds it.
    assert type(config).from_dict(changed.to_dict()).rope_parameters["rope_theta"] == 2e6


MINISTRAL = {
    "model_type": "ministral3",
    "max_position_embeddings": 262_144,
    "rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6, "factor": 16.0, "original_max_position_embeddings": 16_384, "beta_fast": 32.0, "beta_slow": 1.0, "llama_4_scaling_beta": 0.1},
}  # fmt: skip
QWEN = {
    "model_type": "qwen3",
    "max_position_embeddings": 40_960,
    "rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 32_768},
}  # fmt: skip
LINEAR = TINY | {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}}


def final(settings, *chain):
    config = configuration(settings)
    index = len(chain) - 1
    return with_rope(config, rope_parameters_of(config, chain, index), chain[index].max_seq_tokens)


@pytest.mark.parametrize(
    ("settings", "served", "factor"),
    [(MINISTRAL, 262_144, 64.0), (QWEN, 131_072, 32.0)],
    ids=["ministral", "qwen"],
)
def test_a_length_that_yarns_factor_does_not_reach_is_refused_with_the_block_that_does(
    settings, served, factor
):
    chain = stages(1_048_576)
    with pytest.raises(
        ValueError, match=r"^train\.stages\.0\.max_seq_tokens: 1048576 is more than the "
    ) as caught:
        check_served_tokens(final(settings, *chain), "train.stages.0", 1_048_576)
    told = str(caught.value)
    assert f"the {served} tokens" in told
    assert "\n" not in told
    block = yaml.safe_load(told.partition("rope_parameters: ")[2])
    assert block["factor"] == factor
    remedied = stages(1_048_576, rope_parameters=block)
    config = final(settings, *remedied)
    check_served_tokens(config, "train.stages.0", 1_048_576)
    assert max_tokens_of(config) == 1_048_576


@pytest.mark.parametrize(
    "settings", [LLAMA_8B, TINY, QWEN, LINEAR], ids=lambda value: value["rope_parameters"]["rope_type"]
)
def test_what_is_trained_is_what_may_be_served(settings):
    length = max_tokens_of(configuration(settings))
    config = final(settings, *stages(length))
    check_served_tokens(config, "train.stages.0", length)
    assert max_tokens_of(config) == length
    # Its own length is no reason to raise the base.
    assert config.rope_parameters == configuration(settings).rope_parameters


def test_a_linear_export_counts_its_factor_once():
    config = final(LINEAR, *stages(2048))
    assert config.max_position_embeddings == 512
    assert max_tokens_of(config) == 2048


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        (MINISTRAL, {"llama_4_scaling_beta": 0.1}),
        ({"model_type": "glm"}, {"partial_rotary_factor": 0.5}),
        ({"model_type": "gpt_neox"}, {"partial_rotary_factor": 0.25}),
        ({"model_type": "persimmon"}, {"partial_rotary_factor": 0.5}),
    ],
    ids=lambda value: value.get("model_type", ""),
)
def test_a_block_leaves_what_the_model_has_beside_its_scaling(settings, kept):
    yarn = {"rope_type": "yarn", "rope_theta": 5e5, "factor": 4.0, "original_max_position_embeddings": 32768}
    chain = [
        *stages(65_536, rope_parameters=yarn),
        *stages(131_072),
        *stages(131_073, rope_parameters={"rope_theta": 7.0}),
    ]
    config = configuration(settings)
    assert rope_parameters_of(config, chain, 0) == kept | yarn
    assert rope_parameters_of(config, chain, 1).items() >= kept.items()
    assert rope_parameters_of(config, chain, 2) == kept | {"rope_type": "default", "rope_theta": 7.0}
    named = stages(64, rope_parameters=yarn | {"partial_rotary_factor": 1.0})
    assert rope_parameters_of(config, named, 0)["partial_rotary_factor"] == 1.0
