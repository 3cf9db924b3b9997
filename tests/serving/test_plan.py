"""What fits: the method's figures, the memory of a device, and the changes that would make it fit."""

import re

import pytest

from app.faults import UserError
from app.models.shape import shape_of
from app.quantities import GIB
from app.serving.memory import Memory, ModelMemory, kv_bytes_per_token
from app.serving.plan import check_plan, describe_plan, model_memory
from app.serving.sources import served_files
from tests.models.known_models import TINY, configuration
from tests.serving.served_models import MILLION, SHAPES, million, recipe, write_model


def memory_of(config, name="m") -> ModelMemory:
    model = model_memory(config, name, served_files(config, name))
    assert model is not None
    return model


@pytest.mark.parametrize(("shape", "gib"), [("1b", 32), ("3b", 112), ("8b", 128)])
def test_kv_cache_at_a_million_tokens_is_the_method_s(shape, gib):
    sizes = shape_of(configuration(SHAPES[shape]))
    assert kv_bytes_per_token(sizes, 2) * MILLION == gib * GIB
    assert kv_bytes_per_token(sizes, 1) * MILLION == gib * GIB / 2


def test_the_plan_says_what_a_model_takes(tmp_path):
    folder = write_model(tmp_path / "m", million("8b"))
    served = {"model": folder, "gpus_per_replica": 8, "tensor_parallel_size": 8, "device_memory_gib": 80}
    text = describe_plan(recipe(tmp_path, {"m": served | {"kv_cache_dtype": "fp8"}}))
    assert "8 GPUs (tensor parallel 8, pipeline parallel 1)" in text
    assert re.search(r"weights +15\.0 GiB in bfloat16", text)
    assert re.search(r"KV cache +64\.0 KiB a token \(fp8\), 64\.0 GiB at 1,048,576 tokens", text)
    # (72 - 15 / 8 - about half a GiB of one step) / 8 GiB.
    assert "fits      8 requests of 1,048,576 tokens" in text
    assert "serve.models.m.device_memory_gib" in text


def test_the_plan_of_every_model(tmp_path):
    folder = write_model(tmp_path / "m", TINY)
    text = describe_plan(
        recipe(tmp_path, {"a": {"model": folder}, "b": {"model": folder, "dtype": "float32"}})
    )
    assert text.index("a: ") < text.index("b: ")
    assert "bfloat16" in text
    assert "float32" in text


@pytest.mark.parametrize(
    "changes",
    [
        {"quantization_config": {"quant_method": "fp8"}},
        {"kv_lora_rank": 512},
        {"layer_types": ["full_attention", "linear_attention"]},
        {"sliding_window": 4096},
        {"model_type": "unheard-of"},
    ],
)
def test_what_is_not_known_is_not_refused(tmp_path, changes):
    folder = write_model(tmp_path / "m", TINY, max_position_embeddings=10**9, **changes)
    config = recipe(tmp_path, {"m": {"model": folder}})
    check_plan(config)
    assert "not known" in describe_plan(config)


def test_tensor_parallel_devices_share_heads_until_there_is_one_each(tmp_path):
    folder = write_model(tmp_path / "m", million("8b"))
    tokens = [
        memory_of(
            recipe(
                tmp_path,
                {"m": {"model": folder, "tensor_parallel_size": size, "gpus_per_replica": float(size)}},
            )
        ).device_kv_bytes_per_token
        for size in (1, 2, 8, 16)
    ]
    assert tokens == [128 * 1024, 64 * 1024, 16 * 1024, 16 * 1024]


def refusal(tmp_path, served: dict) -> str:
    with pytest.raises(UserError) as caught:
        check_plan(recipe(tmp_path, {"m": served}))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_fit_a_gpu_names_what_would(tmp_path):
    folder = write_model(tmp_path / "m", million("8b"))
    served = {"model": folder, "gpus_per_replica": 4, "tensor_parallel_size": 4, "device_memory_gib": 40}
    text = refusal(tmp_path, served)
    assert text.startswith(
        "serve.models.m.max_model_tokens: 1048576 tokens need 32.0 GiB of KV cache a device"
    )
    assert (
        "set kv_cache_dtype fp8 or tensor_parallel_size 8 with gpus_per_replica 8 or max_model_tokens" in text
    )
    shorter = int(text.rpartition(" ")[2])
    for change in (
        {"kv_cache_dtype": "fp8"},
        {"tensor_parallel_size": 8, "gpus_per_replica": 8},
        {"max_model_tokens": shorter},
    ):
        check_plan(recipe(tmp_path, {"m": served | change}))
    refusal(tmp_path, served | {"max_model_tokens": shorter + 1})


def test_remedies_are_only_those_that_help(tmp_path):
    folder = write_model(tmp_path / "m", million("8b"))
    text = refusal(tmp_path, {"model": folder, "gpus_per_replica": 1, "device_memory_gib": 24})
    assert "fp8" not in text
    assert "tensor_parallel_size 8" in text


def test_what_cannot_fit_a_cpu_s_cache(tmp_path):
    folder = write_model(tmp_path / "m", million("1b"))
    served = {"model": folder, "max_model_tokens": 65536, "cpu_kv_cache_gib": 1, "device_memory_gib": 16}
    text = refusal(tmp_path, served)
    assert "need 2.0 GiB of KV cache" in text
    assert "set kv_cache_dtype fp8 or cpu_kv_cache_gib 2 or max_model_tokens 32768" in text


def test_an_engine_that_is_more_than_its_host(tmp_path):
    folder = write_model(tmp_path / "m", million("1b"))
    text = refusal(
        tmp_path,
        {"model": folder, "max_model_tokens": 1024, "cpu_kv_cache_gib": 8, "device_memory_gib": 8},
    )
    assert text.startswith("serve.models.m.cpu_kv_cache_gib: 8 and the weights need 11.8 GiB")


def test_engines_that_are_more_than_this_machine_together(tmp_path, monkeypatch):
    monkeypatch.setattr("app.serving.plan.host_memory_bytes", lambda: 8 * GIB)
    folder = write_model(tmp_path / "m", TINY)
    served = {"model": folder, "cpu_kv_cache_gib": 2}
    check_plan(recipe(tmp_path, {"m": served | {"min_replicas": 2, "max_replicas": 2}}))
    with pytest.raises(UserError, match=r"serve\.models: need 10\.5 GiB together"):
        check_plan(recipe(tmp_path, {"m": served | {"min_replicas": 3, "max_replicas": 3}}))


def test_no_room_at_all_is_no_request(tmp_path):
    folder = write_model(tmp_path / "m", million("8b"))
    model = memory_of(recipe(tmp_path, {"m": {"model": folder, "gpus_per_replica": 1}}))
    memory = Memory(10 * GIB, "a test")
    assert model.num_requests(memory) == 0
    assert not model.fits(memory)
