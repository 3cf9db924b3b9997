"""Exports of small sharded models, and of exports that somebody spoilt, by four processes."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file

from app.models.rope import with_rope
from app.storage import Folder
from app.training.export.export import export_model, verify_export
from app.training.export.probe import Probe, logits_of_trained
from app.training.parallel.layout import SequenceLayout
from app.training.parallel.process_groups import Workers
from tests.training.far_folder import FarFolder
from tests.training.parallel.parity_cases import Case
from tests.training.parallel.parity_worker import config_of
from tests.training.small_training import adam_of, learn, small_model, some_workers, train_step

SEED = 5
MAX_TOKENS = 4096
DEFAULT_ROPE = {"rope_type": "default", "rope_theta": 160_000.0}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10_000.0,
    "factor": 32.0,
    "original_max_position_embeddings": 128,
}


@dataclass(frozen=True)
class Export:
    """One model, how it is trained, how exported."""

    case: Case
    num_processes: int
    layout: SequenceLayout
    rope: dict[str, Any]
    dtype: torch.dtype = torch.float32
    computed_in: torch.dtype = torch.float32
    max_file_bytes: int = 10**9
    is_far: bool = False

    @property
    def config(self) -> Any:
        return with_rope(config_of(self.case), self.rope, MAX_TOKENS)

    @property
    def tolerance(self) -> float:
        return 1e-5 if self.computed_in == self.dtype == torch.float32 else 0.05


EXPORTS = {
    "llama": Export(Case(1, 1, model_type="llama"), 4, SequenceLayout(2, 2), DEFAULT_ROPE),
    "qwen3": Export(
        Case(1, 1, model_type="qwen3", heads=(6, 3), tie_weights=True),
        2,
        SequenceLayout(1, 2),
        YARN,
        dtype=torch.bfloat16,
        computed_in=torch.bfloat16,
    ),
    "gemma": Export(
        Case(1, 1, model_type="gemma", heads=(4, 1), tie_weights=True),
        2,
        SequenceLayout(),
        DEFAULT_ROPE,
        dtype=torch.bfloat16,
    ),
    "mistral": Export(
        Case(1, 1, model_type="mistral"), 3, SequenceLayout(3, 1), YARN, max_file_bytes=20_000, is_far=True
    ),
}


def export(export: Export, source: str, path: Path, workers: Workers) -> dict[str, Any]:
    """Export before a step, check the export, and train on."""
    model = small_model(export.config, SEED, workers, export.computed_in, offload=export.is_far)
    optimizer = adam_of(model)
    folder = (FarFolder if export.is_far else Folder)(str(path))
    record = export_model(
        model,
        workers,
        model.config,
        source,
        export.dtype,
        folder,
        max_file_bytes=export.max_file_bytes,
    )
    difference = verify_export(model, workers, folder, export.tolerance)
    losses = [train_step(model, optimizer, step, workers) for step in (0, 1)]
    undisturbed = small_model(export.config, SEED, workers, export.computed_in)
    its_optimizer = adam_of(undisturbed)
    found = {
        "record": record.values(),
        "difference": difference,
        "losses": losses,
        "undisturbed": [train_step(undisturbed, its_optimizer, step, workers) for step in (0, 1)],
    }
    # Between gradients and step too, as the last logits would come again if the step were missed.
    probe = Probe.of(export.config.vocab_size)
    learn(model, 2, workers)
    logits_of_trained(model, workers, probe)
    optimizer.step()
    train_step(undisturbed, its_optimizer, 2, workers)
    ours, theirs = (logits_of_trained(each, workers, probe) for each in (model, undisturbed))
    return found | {"logits_after_a_step_differ_by": float((ours - theirs).abs().max())}


def spoil(path: Path, workers: Workers) -> dict[str, str]:
    """What is said of an export in which something was changed, by what it was."""
    model = small_model(EXPORTS["llama"].config, SEED, workers)
    config, weights = path / "config.json", path / "model.safetensors"
    original = config.read_text()
    settings, tensors = json.loads(original), load_file(weights)
    dist.barrier(workers.mesh.get_group())
    found = {}

    def check(name: str, tolerance: float = 1e-5) -> None:
        dist.barrier(workers.mesh.get_group())
        try:
            verify_export(model, workers, Folder(str(path)), tolerance)
            found[name] = "nothing"
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
        dist.barrier(workers.mesh.get_group())

    def change(new_settings: dict[str, Any], new_tensors: dict[str, torch.Tensor]) -> None:
        if workers.is_leader:
            config.write_text(original if new_settings == settings else json.dumps(new_settings))
            save_file(new_tensors, weights, {"format": "pt"})

    rope = {"rope_type": "default", "rope_theta": 159_000.0}
    change(settings | {"rope_parameters": rope, "rope_theta": 159_000.0}, tensors)
    check("rope")
    change(settings | {"rms_norm_eps": 0.01}, tensors)
    check("norms")
    first = "model.layers.1.mlp.up_proj.weight"
    moved = tensors[first].clone()
    moved[0, 0] += 1e-7
    change(settings, tensors | {first: moved})
    check("weight")
    change(settings, {name: tensor for name, tensor in tensors.items() if name != first})
    check("missing")
    change(settings, tensors | {"model.more": torch.zeros(2)})
    check("unexpected")
    change(settings, tensors)
    check("tolerance", -1.0)
    check("restored")
    return found


def main(source: str, folder: str) -> None:
    """Write an export a case and findings.json into the folder; the source has a tokenizer."""
    path = Path(folder)
    found: dict[str, Any] = {}

    def among(name: str, num_processes: int, layout: SequenceLayout, function: Any) -> None:
        workers = some_workers(num_processes, layout)
        result = None if workers is None else function(workers)
        results: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(results, result)
        found[name] = results[:num_processes]

    for name, case in EXPORTS.items():
        among(name, case.num_processes, case.layout, partial(export, case, source, path / name))
    among("spoilt", 2, SequenceLayout(2, 1), partial(spoil, path / "llama"))
    if dist.get_rank() == 0:
        (path / "findings.json").write_text(json.dumps(found))
