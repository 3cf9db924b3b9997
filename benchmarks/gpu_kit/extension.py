"""A real extension: SmolLM2-135M-Instruct from 8k to 32k and 64k by this project's trainer, and needles around it."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist

from app.config import EvaluateConfig, ProbeConfig, StageConfig, TrainConfig, TrainSourceConfig
from app.models.places import resolve_model
from app.models.rope import model_rope, raise_base, with_rope
from app.probing.criterion import summarize
from app.probing.questions import Haystack, QuestionMaker
from app.probing.reading import load_decoder, read
from app.run import DATA_DIR, EXPORT_DIR
from app.storage import Folder
from app.tokens import Tokenizer
from app.training.data.sequence_store import (
    StoredDocument,
    lay_out_sequence,
    shard_name,
    write_sequence_shard,
)
from app.training.export.export import export_model, verify_export
from app.training.finishing import EXPORT_TOLERANCE
from app.training.loop import DTYPES, StageTask, start_trainer
from app.training.metrics import read_records as read_metrics
from benchmarks.gpu_kit.box import Box
from benchmarks.record import say

MODEL = "bundled:smollm2-135m-instruct"
OWN_TOKENS = 8192
"""Longest sequence that the model was made for."""
LEARNING_RATE, WARMUP_STEPS = 5e-5, 4


@dataclass(frozen=True)
class SmollmStage:
    """One length; a step is one sequence of it."""

    name: str
    num_tokens: int
    num_steps: int


STAGES = (SmollmStage("32k", 32_768, 64), SmollmStage("64k", 65_536, 24))
REHEARSAL_STAGES = (SmollmStage("32k", 256, 1), SmollmStage("64k", 384, 1))
LENGTHS = {4096: 4, 8192: 4, 16_384: 4, 32_768: 4, 65_536: 4, 131_072: 2}
"""Length in tokens → haystacks of ten needles each."""
REHEARSAL_LENGTHS = {1024: 1}
SEED = 7
NUM_WRITTEN_ANSWERS, ANSWER_TOKENS = 3, 24


class Needles:
    """Asks models for needles as the evaluation does, of the same haystacks."""

    def __init__(self, box: Box, lengths: Mapping[int, int]) -> None:
        self._box = box
        tokenizer = Tokenizer(MODEL)
        self.haystacks: dict[int, list[Haystack]] = {}
        for length, count in lengths.items():
            maker = QuestionMaker(EvaluateConfig(), tokenizer, SEED, length, ProbeConfig().num_needles)
            self.haystacks[length] = [maker.make(trial) for trial in range(count)]

    def ask(self, name: str, folder: str, config: Any, lengths: list[int]) -> None:
        """Put down what a model finds at each length.

        Args:
            name: Of the model.
            folder: Its weights.
            config: transformers' configuration, with the RoPE to read with.
            lengths: Those of the haystacks.
        """
        device = self._box.device
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        decoder = load_decoder(folder, config, dtype, device)
        for length in lengths:
            self._box.measure(
                f"needles of {name} at {length}",
                partial(self._read, decoder, name, config, length),
            )

    def _read(self, decoder: Any, name: str, config: Any, length: int) -> Mapping[str, Any]:
        started = time.perf_counter()
        haystacks = self.haystacks[length]
        readings = [read(decoder, haystack) for haystack in haystacks]
        seconds = time.perf_counter() - started
        return summarize(
            name, config.rope_parameters, length, OWN_TOKENS, haystacks, readings, seconds
        ).values()


def measure(box: Box) -> None:
    """See the module."""
    from transformers import AutoConfig

    stages = REHEARSAL_STAGES if box.is_rehearsal else STAGES
    needles = Needles(box, REHEARSAL_LENGTHS if box.is_rehearsal else LENGTHS)
    lengths = list(needles.haystacks)
    folder = str(resolve_model(MODEL))
    base = AutoConfig.from_pretrained(folder)
    needles.ask("base", folder, base, lengths)
    for stage in stages:
        # Untrained, at the length that the stage is for.
        parameters = {**model_rope(base)}
        parameters["rope_theta"] = raise_base(parameters["rope_theta"], OWN_TOKENS, stage.num_tokens)
        asked = [length for length in lengths if length <= stage.num_tokens][-1:] or lengths[:1]
        raised = with_rope(base, parameters, max(stage.num_tokens, OWN_TOKENS))
        needles.ask(f"base with the RoPE of {stage.name}", folder, raised, asked)
    backend = "cpu:gloo,cuda:nccl" if box.device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    train = train_settings(stages, "bfloat16" if box.device.type == "cuda" else "float32")
    for index, stage in enumerate(stages):
        box.measure(f"stage {stage.name}", partial(_train, box, train, index))
        export = str(box.scratch / stage.name / EXPORT_DIR)
        needles.ask(stage.name, export, AutoConfig.from_pretrained(export), lengths)
    box.measure("written answers", lambda: _write_answers(box, needles, export))
    dist.destroy_process_group()


def train_settings(stages: tuple[SmollmStage, ...], dtype: Literal["bfloat16", "float32"]) -> TrainConfig:
    """The settings of all stages, as a recipe has them."""
    return TrainConfig(
        sources={"recall": TrainSourceConfig()},
        stages=[
            StageConfig(
                name=stage.name,
                max_seq_tokens=stage.num_tokens,
                mix={"recall": 1.0},
                num_steps=stage.num_steps,
                batch_tokens=stage.num_tokens,
                learning_rate=LEARNING_RATE,
                warmup_steps=min(WARMUP_STEPS, stage.num_steps - 1),
            )
            for stage in stages
        ],
        dtype=dtype,
        export_dtype=dtype,
        steps_per_checkpoint=max(stage.num_steps for stage in stages),
    )


def _train(box: Box, train: TrainConfig, index: int) -> Mapping[str, Any]:
    """One stage by `StageTrainer`, from the weights before to a verified export."""
    stage = train.stages[index]
    folder = Folder(str(box.scratch / stage.name))
    data = folder / DATA_DIR
    if box.data is None:
        assert box.is_rehearsal, "--data is missing; make it with benchmarks.gpu_kit.extension_data"
        _write_random_data(data, stage)
    else:
        shutil.copytree(box.data / stage.name, box.scratch / stage.name / DATA_DIR)
    task = StageTask(
        train=train,
        index=index,
        model=MODEL,
        revision=None,
        folder=folder,
        previous=Folder(str(box.scratch / train.stages[index - 1].name)) if index else None,
        run_name="gpu-kit",
        log_interval_sec=5.0,
    )
    started = time.perf_counter()
    trainer = start_trainer(task, box.device, say)
    assert trainer is not None
    loaded = time.perf_counter()
    trainer.run()
    trained = time.perf_counter()
    export = folder / EXPORT_DIR
    base = str(resolve_model(MODEL))
    export_model(trainer.model, trainer.workers, trainer.config, base, DTYPES[train.export_dtype], export)
    difference = verify_export(trainer.model, trainer.workers, export, EXPORT_TOLERANCE[train.export_dtype])
    steps = read_metrics(folder)
    return {
        "num_tokens": stage.max_seq_tokens,
        "num_steps": stage.total_steps,
        "loading_sec": loaded - started,
        "training_sec": trained - loaded,
        "export_sec": time.perf_counter() - trained,
        "logit_difference": difference,
        "losses": [step["loss"] for step in steps],
        "step_sec": float(np.median([step["step_sec"] for step in steps])),
        "mfu": steps[-1].get("mfu"),
        "peak_memory_bytes": max(step["peak_memory_bytes"] for step in steps),
    }


def _write_random_data(folder: Folder, stage: StageConfig) -> None:
    random = np.random.default_rng(0)
    tokens = stage.max_seq_tokens

    def document(index: int) -> StoredDocument:
        ids = random.integers(0, 1000, tokens, dtype=np.int32)
        return StoredDocument(str(index), ids, np.ones(tokens, np.bool_))

    sequences = (lay_out_sequence([document(index)], tokens, None) for index in range(stage.total_steps))
    write_sequence_shard(folder, shard_name(0, 1), tokens, sequences)


def _write_answers(box: Box, needles: Needles, export: str) -> Mapping[str, Any]:
    """What the last stage writes after some questions, with transformers' own attention and generation."""
    from transformers import AutoModelForCausalLM

    dtype = torch.bfloat16 if box.device.type == "cuda" else torch.float32
    decoder = AutoModelForCausalLM.from_pretrained(export, dtype=dtype, attn_implementation="sdpa")
    decoder = decoder.to(box.device).eval()
    tokenizer = Tokenizer(MODEL)
    length = [length for length in needles.haystacks if length <= STAGES[-1].num_tokens][-1]
    haystack = needles.haystacks[length][0]
    written = []
    for question in range(1 if box.is_rehearsal else NUM_WRITTEN_ANSWERS):
        begin, (start, stop) = haystack.boundaries[question], haystack.answers[question]
        text, asked = haystack.token_ids[: haystack.boundaries[0]], haystack.token_ids[begin:start]
        prompt = torch.from_numpy(np.concatenate([text, asked]).astype(np.int64)).to(box.device)
        with torch.no_grad():
            reply = decoder.generate(prompt[None], max_new_tokens=ANSWER_TOKENS, do_sample=False)
        written.append(
            {
                "expected": tokenizer.decode(haystack.token_ids[start:stop].tolist()),
                "written": tokenizer.decode(reply[0, len(prompt) :].tolist()),
            }
        )
    return {"length_tokens": length, "answers": written}
