"""Checks before a worker starts: each fault is one line with field, value and remedy."""
# ruff: noqa: E501

import json
import re
import shutil

import pytest
import torch

from app import checks
from app.config import RunConfig
from app.faults import UserError
from app.training import architecture
from app.training.memory import check as memory_check
from app.training.preflight import check_training, check_training_values
from tests.models.known_models import LLAMA_8B, TINY
from tests.training.train_settings import STAGE

GIB = 2**30


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Holds a tiny model and a text; nothing of the machine that the test runs on counts."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    machine(monkeypatch, gpu_gib=[], host_gib=16)
    write_model(tmp_path, TINY)
    (tmp_path / "a.txt").write_text("a text")
    return tmp_path


def machine(monkeypatch, gpu_gib=None, host_gib=None):
    """Give this machine other GPUs or another memory."""
    if gpu_gib is not None:
        for module in (checks, memory_check):
            monkeypatch.setattr(module, "gpu_memory_bytes", lambda: [gib * GIB for gib in gpu_gib])
    if host_gib is not None:
        monkeypatch.setattr(memory_check, "host_memory_bytes", lambda: host_gib * GIB)


def write_model(folder, settings):
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "config.json").write_text(json.dumps(settings))
    # Of a kind that is not looked into.
    (folder / "model" / "tokenizer.model").touch()


def config(folder, stages=({},), num_cpus=8, **train):
    """Settings that pass, with changes."""
    values = {
        "model": str(folder / "model"),
        "sources": {"texts": {"path": str(folder / "a.txt")}},
        "stages": [STAGE | stage for stage in stages],
    }
    return RunConfig.model_validate(
        {"run_dir": str(folder / "run"), "ray": {"num_cpus": num_cpus}, "train": values | train}
    )


def fault(settings, check=check_training) -> str:
    with pytest.raises(UserError) as caught:
        check(settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_good_settings_pass_and_leave_no_folder(folder):
    check_training(config(folder))
    assert not (folder / "run").exists()


def test_a_first_stage_may_be_shorter_than_what_the_model_reads(folder):
    write_model(folder, TINY | {"max_position_embeddings": 131_072})
    check_training(config(folder))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"model": "/not/there"}, "train.model: '/not/there' does not exist; give a folder"),
        ({"model": "smollm"}, "train.model: 'smollm' is neither a folder nor a hub name; give"),
        ({"model": None}, "train.model: is missing"),
        ({"sources": {"texts": {"path": "/not/there"}}}, "train.sources.texts.path: '/not/there' "),
        ({"stages": [{"warmup_steps": 10}]}, "train.stages.0.warmup_steps: 10 leaves none of the 10 steps of stage 256k with the full learning rate; at most 9"),
        ({"memory": {"checkpoint_activations": False, "offload_checkpoints": True}}, "train.memory.offload_checkpoints: true has no effect while train.memory.checkpoint_activations is false; set"),
        ({"num_workers": 8, "stages": [{"batch_tokens": 2048, "sequence_parallel_size": 2}]}, "train.stages.0.batch_tokens: 2048 holds 2 sequences a step for 4 groups of workers (train.num_workers 8 / sequence_parallel_size 2), some of which would never have one; at least 4096, or sequence_parallel_size 4, or fewer workers"),
        ({"num_workers": 8, "cpus_per_worker": 1.5}, "ray.num_cpus: 8 is too few for 8 training workers of 1.5 CPUs; at least 12, or fewer train.num_workers"),
        ({"gpus_per_worker": 0.5}, "train.gpus_per_worker: 1 workers of 0.5 need 1 GPUs, but this machine has 0; give 0"),
        ({"node_labels": {"pool": "a"}}, "train.node_labels: {'pool': 'a'} is requested, but the local Ray that this job starts"),
        ({"num_workers": 8, "stages": [{}, {"name": "b", "sequence_parallel_size": 8, "ulysses_size": 8}]}, "train.stages.1.ulysses_size: 8 is more than the model's 4 heads; at most 4"),
        ({"stages": [{"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e6}}]}, "train.stages.256k.rope_parameters: rope_type 'dynamic' is not fixed"),
        ({"stages": [{}, {"name": "b", "rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6}}]}, "train.stages.b.rope_parameters: "),
        ({"worker_memory_gib": 0.001}, "train.stages.0.max_seq_tokens: 1024 (stage 256k) needs about 0.0 GiB a worker (state "),
    ],
)  # fmt: skip
def test_a_fault_names_field_value_and_remedy(folder, settings, expected):
    assert fault(config(folder, **settings)).startswith(expected)


def test_a_recipe_without_a_training_is_refused(folder):
    settings = config(folder).model_copy(update={"train": None})
    for check in (check_training, check_training_values):
        assert fault(settings, check).startswith("train: is missing")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"model_type": "no_such"}, r"train\.model: '.*/model' is of type 'no_such', which transformers does not know; give"),
        ({}, r"train\.model: '.*/model' is of type None, which"),
        (TINY | {"hidden_size": "wide"}, r"train\.model: transformers can't read the config.json of '.*/model' \(.*\); give"),
        (TINY | {"model_type": "gemma2"}, r"train\.model: gemma2 caps its"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_trained_is_refused(folder, settings, expected):
    write_model(folder, settings)
    assert re.match(expected, fault(config(folder)))


def test_a_stage_is_tried_out_with_its_own_block(folder):
    settings = TINY | {"model_type": "gpt_neox", "rope_parameters": None, "attention_dropout": 0.0}
    write_model(folder, settings)
    yarn = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 8.0, "original_max_position_embeddings": 128}
    check_training(config(folder, [{"rope_parameters": yarn}]))
    told = fault(
        config(folder, [{}, {"name": "b", "rope_parameters": yarn | {"partial_rotary_factor": 3.0}}])
    )
    assert told.startswith("train.stages.1.rope_parameters: {")
    assert "does not suit gpt_neox" in told


def test_a_length_that_could_not_be_served_is_refused(folder):
    block = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 128}
    write_model(folder, TINY | {"rope_parameters": block, "max_position_embeddings": 512})
    told = fault(config(folder))
    assert told.startswith("train.stages.0.max_seq_tokens: 1024 is more than the 512 tokens that vLLM serves")
    assert "set train.stages.0.rope_parameters: {" in told
    check_training(config(folder, [{"rope_parameters": block | {"factor": 8.0}}]))


def test_a_model_with_another_models_weights_is_refused(folder):
    from safetensors.torch import save_file

    save_file({"model.norm.weight": torch.ones(32)}, folder / "model" / "model.safetensors")
    assert fault(config(folder)).startswith("train.model: the weight files of '")


def test_a_tokenizer_larger_than_the_vocabulary_is_refused(folder, chatml):
    shutil.copytree(chatml.model, folder / "model", dirs_exist_ok=True)
    write_model(folder, TINY | {"vocab_size": chatml.num_ids})
    check_training(config(folder))
    write_model(folder, TINY | {"vocab_size": chatml.num_ids - 1})
    told = fault(config(folder))
    assert (
        f"has a tokenizer of {chatml.num_ids} ids, and its config.json a vocab_size of {chatml.num_ids - 1};"
        in told
    )


def test_layers_without_an_mlp_to_tile_are_told_of_before_a_worker_starts(folder):
    tiled = {"memory": {"mlp_tile_tokens": 512}}
    check_training(config(folder, **tiled))
    write_model(folder, TINY | {"model_type": "arcee"})
    check_training(config(folder, **tiled))
    # Its layers call it `feed_forward`.
    write_model(folder, TINY | {"model_type": "lfm2", "layer_types": ["full_attention"] * 2})
    check_training(config(folder))
    assert fault(config(folder, **tiled)).startswith(
        "train.memory.mlp_tile_tokens: Lfm2DecoderLayer has no plain MLP"
    )


def test_a_routers_loss_of_a_model_without_routers_is_refused(folder):
    write_model(folder, TINY)
    assert fault(config(folder, router_loss_weight=0.1)) == (
        "train.router_loss_weight: 0.1 is of a loss that llama has not; leave it out"
    )


def test_a_model_on_a_hub_out_of_reach_is_refused(folder, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    expected = "train.model: 'some-organisation/some-model' can't be had: the hub can't be reached"
    assert fault(config(folder, model="some-organisation/some-model")).startswith(expected)


@pytest.fixture
def llama(folder, monkeypatch):
    """The same with a model that a machine has too little memory for."""
    # It takes seconds for this size and is tried above.
    monkeypatch.setattr(architecture, "check_architecture", lambda config: None)
    write_model(folder, LLAMA_8B)
    return folder


MILLION = {"max_seq_tokens": 1_048_576, "batch_tokens": 1_048_576, "sequence_parallel_size": 8}


def test_too_little_memory_is_told_with_its_parts_and_what_helps(llama, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    gpus = {"num_workers": 8, "gpus_per_worker": 1.0}
    settings = config(llama, [MILLION], worker_memory_gib=40.0, **gpus)
    expected = (
        r"train\.stages\.0\.max_seq_tokens: 1048576 \(stage 256k\) needs about 121\.\d GiB a worker \(state 15\.0, "
        r"working set 4\.6, checkpoints 63\.5, MLP 3\d\.\d\), which has 40\.0 \(train\.worker_memory_gib\); "
        r"set train\.memory\.mlp_tile_tokens 4096 and train\.memory\.offload_checkpoints true$"
    )
    assert re.match(expected, fault(settings))
    frugal = {"mlp_tile_tokens": 4096, "offload_checkpoints": True}
    check_training(config(llama, [MILLION], worker_memory_gib=40.0, memory=frugal, **gpus))
    # Where neither a setting nor this machine tells, the cluster will.
    check_training(config(llama, [MILLION], **gpus))


def test_of_a_ray_of_our_own_the_gpus_are_known(llama, monkeypatch):
    machine(monkeypatch, gpu_gib=[80] * 7 + [70])
    gpus = {"num_workers": 8, "gpus_per_worker": 1.0}
    told = fault(config(llama, [MILLION], **gpus))
    assert "which has 70.0 (this machine's smallest GPU); set train.memory.offload_checkpoints true" in told
    tiled = {"mlp_tile_tokens": 4096, "keep_attention": False}
    check_training(config(llama, [MILLION], memory=tiled, **gpus))
    # More GPUs than there are can't be advised.
    machine(monkeypatch, gpu_gib=[10] * 8)
    assert fault(config(llama, [MILLION], **gpus)).endswith(
        "which has 10.0 (this machine's smallest GPU); give workers with more memory, a shorter stage or a smaller model"
    )
    machine(monkeypatch, gpu_gib=[80] * 7)
    assert fault(config(llama, [MILLION], **gpus)).startswith(
        "train.gpus_per_worker: 8 workers of 1 need 8 GPUs, but this machine has 7; give 0 for a CPU, or submit"
    )
    machine(monkeypatch, gpu_gib=[130] * 4)
    shared = MILLION | {"sequence_parallel_size": 4, "batch_tokens": 2_097_152}
    check_training(config(llama, [shared], min_workers=4, memory=tiled, **gpus, cpus_per_worker=2.0))


def test_what_is_offloaded_must_fit_the_host(llama, monkeypatch):
    machine(monkeypatch, gpu_gib=[80] * 8)
    frugal = {"mlp_tile_tokens": 4096, "offload_checkpoints": True}
    settings = config(llama, [MILLION], num_workers=8, gpus_per_worker=1.0, memory=frugal)
    assert fault(settings).startswith(
        "train.memory.offload_checkpoints: true needs about 516.0 GiB of this machine's 16.0 for 8 workers in stage 256k; set"
    )
    machine(monkeypatch, host_gib=256)
    assert "256.0 for 8 workers in stage 256k; set train.memory.keep_attention false" in fault(settings)
    machine(monkeypatch, host_gib=516)
    check_training(settings)


def test_workers_of_one_machine_without_a_gpu_share_its_memory(llama, monkeypatch):
    one = {"memory": {"mlp_tile_tokens": 512, "loss_chunk_tokens": 512}}
    assert "a smaller model" in fault(config(llama, **one))
    machine(monkeypatch, host_gib=128)
    check_training(config(llama, **one))
    two = config(llama, num_workers=2, **one)
    assert "which has 64.0 (this machine's memory / 2); " in fault(two)
    machine(monkeypatch, host_gib=200)
    check_training(two)


def test_the_fewest_workers_must_be_able_to_hold_the_state(llama, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    elastic = {"num_workers": 8, "gpus_per_worker": 1.0, "worker_memory_gib": 40.0}
    check_training(config(llama, **elastic))
    assert "needs about 66.1 GiB a worker (state 59.8" in fault(config(llama, min_workers=2, **elastic))


def test_advice_about_groups_holds_for_any_number_of_elastic_workers(llama, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    frugal = {
        "mlp_tile_tokens": 512,
        "loss_chunk_tokens": 512,
        "offload_checkpoints": True,
        "offload_optimizer": True,
    }
    elastic = {"num_workers": 6, "min_workers": 4, "worker_memory_gib": 50.0, "gpus_per_worker": 1.0}
    stage = MILLION | {"sequence_parallel_size": 2, "batch_tokens": 4 * 1_048_576}
    told = fault(config(llama, [stage], memory=frugal, **elastic))
    # 4 divides the fewest workers, and not the most.
    assert "set train.num_workers 8 and train.stages.0.sequence_parallel_size 8" in told
    told = fault(config(llama, [stage], memory=frugal, **elastic | {"num_workers": 8}))
    assert told.endswith("set train.stages.0.sequence_parallel_size 4")


def test_a_cluster_has_other_cpus_and_gpus(folder, monkeypatch):
    settings = config(folder, num_workers=8, cpus_per_worker=100.0, gpus_per_worker=1.0)
    fault(settings)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    check_training(settings)


def test_a_trackers_package_must_be_there(folder, monkeypatch):
    from app.training import trackers

    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    assert fault(config(folder, trackers=["wandb"])).startswith(
        "train.trackers: wandb needs the package wandb"
    )


def test_values_are_checked_without_files(folder):
    check_training_values(config(folder, model="/only/there", sources={"texts": {"path": "/only/there/too"}}))
    wrong = config(folder, model="/only/there", stages=[{"warmup_steps": 10}])
    assert fault(wrong, check_training_values).startswith("train.stages.0.warmup_steps: 10")


def test_the_run_dir_is_tried(folder):
    (folder / "file").touch()
    refused = config(folder).model_copy(update={"run_dir": str(folder / "file" / "run")})
    assert fault(refused).startswith("run_dir: ")


def test_cudnn_is_for_gpus_and_heads_that_it_takes(folder, monkeypatch):
    told = fault(config(folder, attention_kernel="cudnn"), check_training_values)
    assert told.startswith("train.attention_kernel: cudnn needs CUDA, and train.gpus_per_worker is 0; ")
    machine(monkeypatch, gpu_gib=[80])
    check_training(config(folder, attention_kernel="cudnn", gpus_per_worker=1))
    write_model(folder, TINY | {"head_dim": 256})
    told = fault(config(folder, attention_kernel="cudnn", gpus_per_worker=1))
    assert told.startswith("train.attention_kernel: cudnn takes no heads of 256, which llama has; ")
