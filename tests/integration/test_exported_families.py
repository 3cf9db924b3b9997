"""An export of each family that is trained, as other readers see it: vLLM's configuration, an older transformers."""

import json
import os
import subprocess

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from app.models.rope import rope_of, rope_parameters_of, with_rope
from tests.models.families import FAMILIES, family
from tests.training.test_families import export, random_decoder
from tests.training.train_settings import stage_config

NUM_TOKENS = 512
"""Of a stage: as far as the YaRN of `tests.models.families` reaches."""
TOKENS = tuple(range(3, 43))
"""Of the sequence whose logits are compared."""
OLDER_PYTHON = os.environ.get("LONGSTRAP_OLDER_PYTHON")
"""Python of an environment with torch and an older transformers, such as 4.57."""
NOT_IN_VLLM = {"dots1", "nanochat"}
"""Families that vLLM 0.29 has no model of."""
NOT_IN_OLDER = {"hyperclovax", "minimax_m2", "nanochat"}
"""Families that transformers 4.57 does not know."""
ONE_BASE_IN_OLDER = {"olmo3"}
"""Families whose layers with sliding windows keep their RoPE base; transformers 4.57 reads one base for all layers."""
TOLERANCE = 1e-3
"""Of logits between two versions of transformers. Seen: 3e-4 with Apertus, for an unknown reason."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Folder of each family's export, with what a stage makes of its RoPE."""
    folders = {}

    def folder(model_type):
        if model_type not in folders:
            config = family(model_type)
            stage = stage_config(name="long", max_seq_tokens=NUM_TOKENS, batch_tokens=NUM_TOKENS)
            config = with_rope(config, rope_parameters_of(config, [stage], 0), NUM_TOKENS)
            place = tmp_path_factory.mktemp(model_type)
            export(random_decoder(config), place)
            folders[model_type] = place
        return folders[model_type]

    return folder


@pytest.mark.parametrize("model_type", FAMILIES)
def test_vllm_reads_an_export_and_serves_it_at_the_length_that_was_trained(exported, model_type):
    from vllm.config.model import _get_and_verify_max_len
    from vllm.model_executor.models.registry import ModelRegistry
    from vllm.transformers_utils.config import get_config, get_hf_text_config
    from vllm.transformers_utils.model_arch_config_convertor import (
        MODEL_ARCH_CONFIG_CONVERTORS,
        ModelArchConfigConvertorBase,
    )

    config = get_config(str(exported(model_type)), trust_remote_code=False)
    text = get_hf_text_config(config)
    convertor = MODEL_ARCH_CONFIG_CONVERTORS.get(config.model_type, ModelArchConfigConvertorBase)
    shape = convertor(config, text).convert()
    # As `vllm.ModelConfig` does it, but without a process for each architecture that imports its model.
    assert _get_and_verify_max_len(text, shape, None, NUM_TOKENS, False, None) == NUM_TOKENS
    assert rope_of(text) == rope_of(AutoConfig.from_pretrained(exported(model_type)))
    is_known = set(config.architectures or ()) <= set(ModelRegistry.get_supported_archs())
    assert is_known == (model_type not in NOT_IN_VLLM)


READER = """
import json, sys, torch
from transformers import AutoModelForCausalLM
found = {}
for name, folder in json.loads(sys.stdin.read()).items():
    try:
        decoder = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        with torch.no_grad():
            found[name] = decoder(torch.tensor([TOKENS]), use_cache=False).logits[0].tolist()
    except Exception as error:
        found[name] = f"{type(error).__name__}: {error}"[:500]
print("FOUND" + json.dumps(found))
"""


@pytest.mark.long
@pytest.mark.skipif(
    not OLDER_PYTHON, reason="LONGSTRAP_OLDER_PYTHON names no environment with an older transformers"
)
def test_an_older_transformers_computes_the_same_logits(exported):
    folders = {name: str(exported(name)) for name in FAMILIES if name not in NOT_IN_OLDER | ONE_BASE_IN_OLDER}
    done = subprocess.run(
        [str(OLDER_PYTHON), "-c", READER.replace("TOKENS", repr(list(TOKENS)))],
        input=json.dumps(folders),
        capture_output=True,
        text=True,
        env={"PATH": "", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.partition("FOUND")[2])
    faults = {}
    for name, logits in found.items():
        if isinstance(logits, str):
            faults[name] = logits
            continue
        decoder = AutoModelForCausalLM.from_pretrained(folders[name], dtype=torch.float32).eval()
        with torch.no_grad():
            expected = decoder(torch.tensor([TOKENS]), use_cache=False).logits[0]
        error = float((torch.tensor(logits) - expected).abs().max() / expected.abs().max())
        if not error < TOLERANCE:
            faults[name] = f"off by {error:.1e}"
    assert not faults, json.dumps(faults, indent=1)
