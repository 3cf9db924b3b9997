"""A trained model → a folder that transformers and vLLM load with no further setting, and the check that they do.

RUN/train/STAGE/export/   model*.safetensors, config.json, generation_config.json, tokenizer, README.md (`export_card`)
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow.fs as pafs
import torch
from torch import nn

from app.models.rope import max_tokens_of, rope_of
from app.records.training import ExportedFiles
from app.storage import Folder
from app.training.checkpoints.weights import whole_weights
from app.training.export.files import (
    files_in,
    name_of,
    published,
    published_names,
    write_config,
    write_generation_config,
    write_tokenizer,
    write_weights,
)
from app.training.export.probe import (
    Probe,
    difference_of_logits,
    logits_of_trained,
    logits_of_transformers,
)
from app.training.model import LanguageModel
from app.training.parallel.leader import ask_leader, run_on_leader
from app.training.parallel.process_groups import Workers

MAX_FILE_BYTES = 5_000_000_000
"""Weights beyond this go into a second file."""


def export_model(
    model: LanguageModel,
    workers: Workers,
    config: Any,
    source: str,
    dtype: torch.dtype,
    folder: Folder,
    *,
    revision: str | None = None,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> ExportedFiles:
    """Write the model as transformers does, whole or not at all; what was in the folder goes.

    Every worker calls it; the leader writes.

    Args:
        model: The trained model, sharded.
        workers: All that train.
        config: transformers' configuration with the stage's RoPE (`rope.with_rope`).
        source: Local folder or hub name that tokenizer and generation settings are taken from.
        dtype: Dtype of the exported weights.
        folder: Folder to write to.
        revision: Revision of the source, on the hub.
        max_file_bytes: Weights beyond this go into a second file.

    Raises:
        RuntimeError: The tokenizer that was written differs from the source's.
    """
    weights = dict(whole_weights(model, workers, dtype))
    architecture = type(model.decoder).__name__

    def write() -> ExportedFiles:
        with published(folder) as place:
            write_weights(published_names(model.decoder, weights), place, max_file_bytes)
            write_tokenizer(source, revision, max_tokens_of(config), place)
            write_generation_config(source, revision, max_tokens_of(config), place)
            write_config(config, architecture, dtype, place)
            files = {path.relative_to(place).as_posix(): path.stat().st_size for path in files_in(place)}
        return ExportedFiles(
            dtype=name_of(dtype),
            num_parameters=sum(weight.numel() for weight in weights.values()),
            max_position_embeddings=config.max_position_embeddings,
            rope_parameters=rope_of(config) or {},
            files=files,
        )

    return ask_leader(workers.host_group, write)


def verify_export(model: LanguageModel, workers: Workers, folder: Folder, tolerance: float) -> float:
    """Load an export as any user would, and compare it with the trained model.

    Weights and RoPE must be the same. Then the logits of a random sequence are compared, those of the trained model by
    its own attention, shared by the ranks as in training. Every worker calls this; the leader loads.

    Args:
        model: The trained model, sharded.
        workers: All that train.
        folder: Folder of `export_model`.
        tolerance: `difference_of_logits` that is let pass. Rounding to bfloat16 makes it about 0.01.

    Returns:
        That difference.

    Raises:
        RuntimeError: A weight differs from the trained one rounded to the export's type, RoPE or the logits do.
    """
    loaded: Any = run_on_leader(workers.host_group, lambda: _load(folder))
    probe = Probe.of(model.config.vocab_size)
    found = logits_of_trained(model, workers, probe)
    dtype: torch.dtype = ask_leader(workers.host_group, lambda: loaded.dtype)
    exported = loaded.state_dict() if loaded is not None else {}
    differing = [
        name
        for name, weight in whole_weights(model, workers, dtype)
        if name not in exported or not torch.equal(exported[name], weight.to(exported[name].dtype))
    ]

    def compare() -> float:
        if differing:
            raise RuntimeError(
                f"{folder.uri}: {len(differing)} weights are not the trained ones; the first is {differing[0]}"
            )
        if not _same_angles(model.decoder, loaded):
            raise RuntimeError(f"{folder.uri}: its RoPE in transformers is not the one that was trained")
        expected = logits_of_transformers(loaded, probe)
        difference = difference_of_logits(found, expected)
        if not difference <= tolerance:
            raise RuntimeError(
                f"{folder.uri}: its logits in transformers are off from the trained model's by {difference:.1e} "
                f"of their norm, more than {tolerance:.1e}"
            )
        return difference

    return ask_leader(workers.host_group, compare)


def _load(folder: Folder) -> Any:
    """The export by plain transformers, with no setting of ours.

    Raises:
        RuntimeError: It lacks weights, or has some that the model does not know.
    """
    from transformers import AutoModelForCausalLM

    with _local(folder) as path:
        decoder, report = AutoModelForCausalLM.from_pretrained(path, output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report.get(kind):
            raise RuntimeError(f"{folder.uri} has {kind} {sorted(map(str, report[kind]))}")
    return decoder


def _same_angles(trained: nn.Module, loaded: nn.Module) -> bool:
    """Whether RoPE has the same angles: rounding of bfloat16 logits can hide a base that is slightly off."""
    own, others = (
        {name: buffer.float().cpu() for name, buffer in decoder.named_buffers() if name.endswith("inv_freq")}
        for decoder in (trained, loaded)
    )
    return own.keys() == others.keys() and all(torch.allclose(own[name], others[name]) for name in own)


@contextmanager
def _local(folder: Folder) -> Iterator[str]:
    if isinstance(folder.filesystem, pafs.LocalFileSystem):
        yield folder.path
        return
    with tempfile.TemporaryDirectory() as name:
        pafs.copy_files(folder.path, name, folder.filesystem, pafs.LocalFileSystem())
        yield name
