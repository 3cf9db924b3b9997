"""Settings of training: sources, stages, optimizer, memory, workers."""

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from app.config.section import OPERATIONAL, NodeLabels, NonNegativeCount, Section, Share


class TrainSourceConfig(Section):
    """Training rows of one sort, to be mixed by a stage."""

    path: str | None = None
    """File, folder or glob (Parquet, JSONL, text) of chats (`messages`) or plain texts (`text`); left out: the
    run's own dataset."""
    kind: Literal["long_input", "long_output"] | None = None
    """Of the run's own dataset, only the rows of this kind."""
    loss: Literal["all", "response"] = "all"
    """Tokens that are learned: all, or the assistant's turns. The paper: all of long examples, responses of short."""

    @model_validator(mode="after")
    def _kind_is_of_the_dataset(self) -> "TrainSourceConfig":
        if self.path is not None and self.kind is not None:
            raise ValueError(
                f"kind {self.kind} is given beside path {self.path}, which has no kinds; leave one out"
            )
        return self


class StageConfig(Section):
    """One training phase at one length. It starts from the weights of the stage before it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Name of its folder in the run."""
    max_seq_tokens: PositiveInt
    rope_theta: PositiveFloat | None = None
    """RoPE base; left out: the paper's rule, four times the base for each doubling of the length."""
    rope_parameters: dict[str, Any] | None = None
    """transformers' block instead of a base: `{rope_type: yarn, rope_theta: …, factor: …, …}`."""
    mix: dict[str, PositiveFloat]
    """Source → its share of the tokens; only their ratios count."""
    num_steps: PositiveInt | None = None
    """Optimizer steps; give this or num_tokens."""
    num_tokens: PositiveInt | None = None
    batch_tokens: PositiveInt
    """Tokens of one optimizer step: a multiple of max_seq_tokens."""
    max_epochs: PositiveFloat = 1.0
    """Times that a source may be gone through; a stage that would need more is refused."""
    learning_rate: PositiveFloat
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup_steps: NonNegativeCount = 0
    min_learning_rate_share: Share = 0.1
    """Where linear and cosine end, as a share of the learning rate."""
    documents: Literal["mask", "separator"] = "mask"
    """Packed documents see only themselves, or each other with a separator token between."""
    loss: Literal["all", "response"] | None = None
    """Tokens that are learned; left out: what each source says."""
    sequence_parallel_size: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 1
    """Workers that share one sequence."""
    sequence_parallel_mode: Annotated[Literal["ulysses", "ring"], Field(json_schema_extra=OPERATIONAL)] = (
        "ulysses"
    )
    """Ulysses: heads are split, with more workers than heads in a ring of groups. Ring: keys and values go round."""
    ulysses_size: Annotated[PositiveInt | None, Field(json_schema_extra=OPERATIONAL)] = None
    """Workers of one Ulysses group inside the ring; left out: by the mode and the number of heads."""

    @model_validator(mode="after")
    def _is_whole(self) -> "StageConfig":
        if (self.num_steps is None) == (self.num_tokens is None):
            raise ValueError(
                f"stage {self.name} has num_steps {self.num_steps} and num_tokens {self.num_tokens}; give one"
            )
        if self.batch_tokens % self.max_seq_tokens:
            raise ValueError(
                f"batch_tokens {self.batch_tokens} is no multiple of max_seq_tokens {self.max_seq_tokens}; "
                f"{max(self.batch_tokens // self.max_seq_tokens, 1) * self.max_seq_tokens} is"
            )
        if self.rope_theta is not None and self.rope_parameters is not None:
            raise ValueError(f"rope_theta {self.rope_theta} is given beside rope_parameters; leave one out")
        if self.ulysses_size is not None and self.sequence_parallel_size % self.ulysses_size:
            raise ValueError(
                f"ulysses_size {self.ulysses_size} does not divide sequence_parallel_size {self.sequence_parallel_size}"
            )
        if not self.mix:
            raise ValueError("mix is empty; name at least one of train.sources with its share")
        return self

    @property
    def sequences_per_step(self) -> int:
        return self.batch_tokens // self.max_seq_tokens

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole stage; a number of tokens is rounded up."""
        if self.num_steps is not None:
            return self.num_steps
        assert self.num_tokens is not None
        return -(-self.num_tokens // self.batch_tokens)


class OptimizerConfig(Section):
    """AdamW."""

    beta1: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    beta2: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.95
    epsilon: PositiveFloat = 1e-8
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    """Of matrices; vectors (norms, biases) never decay."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients are clipped to this global norm."""


class TrainMemoryConfig(Section):
    """What is paid with time or traffic to fit a longer sequence. None of it changes a result."""

    checkpoint_activations: bool = True
    """Keep only each layer's input and compute the rest again in the backward pass."""
    offload_checkpoints: bool = False
    """Keep those inputs in the host's memory."""
    mlp_tile_tokens: PositiveInt | None = None
    """Tokens that an MLP works on at once; left out: all."""
    loss_chunk_tokens: PositiveInt = 2048
    """Tokens whose logits are there at once."""
    offload_optimizer: bool = False
    """Keep parameters, gradients and optimizer state in the host's memory and step there."""


class TrainConfig(Section):
    """The stages and how they are run."""

    model: str | None = None
    """Model to be extended: hub name, local, s3:// or gs:// folder, bundled:NAME; left out: generator.model."""
    revision: str | None = None
    sources: dict[str, TrainSourceConfig] = {
        "long_input": TrainSourceConfig(kind="long_input"),
        "long_output": TrainSourceConfig(kind="long_output"),
    }
    stages: list[StageConfig]
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Of the computation; master weights and optimizer state are float32."""
    export_dtype: Literal["bfloat16", "float32"] = "bfloat16"
    optimizer: OptimizerConfig = OptimizerConfig()
    memory: Annotated[TrainMemoryConfig, Field(json_schema_extra=OPERATIONAL)] = TrainMemoryConfig()
    num_workers: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 1
    """Processes, one a GPU; with min_workers the most of them."""
    min_workers: Annotated[PositiveInt | None, Field(json_schema_extra=OPERATIONAL)] = None
    """Go on with as few as this when nodes are lost, and grow back; left out: always num_workers."""
    cpus_per_worker: Annotated[float, Field(ge=0, json_schema_extra=OPERATIONAL)] = 1.0
    gpus_per_worker: Annotated[float, Field(ge=0, json_schema_extra=OPERATIONAL)] = 0.0
    node_labels: Annotated[NodeLabels, Field(json_schema_extra=OPERATIONAL)] = {}
    """Of the nodes that the workers run on, e.g. {pool: train}."""
    max_failures: Annotated[NonNegativeCount, Field(json_schema_extra=OPERATIONAL)] = 3
    """Times that lost workers are replaced before a stage gives up."""
    steps_per_checkpoint: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 50
    num_checkpoints_kept: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 2
    trackers: Annotated[list[Literal["tensorboard", "wandb"]], Field(json_schema_extra=OPERATIONAL)] = []
    """Besides metrics.jsonl, which is always written."""
    peak_tflops: Annotated[PositiveFloat | None, Field(json_schema_extra=OPERATIONAL)] = None
    """Dense bfloat16 peak of one device, for the MFU; left out: known for NVIDIA's usual ones, else no MFU."""
    worker_memory_gib: Annotated[PositiveFloat | None, Field(json_schema_extra=OPERATIONAL)] = None
    """Memory of one worker's device, which the stages must fit; left out: this machine's, on a Ray of the job's own."""
    dry_run: Annotated[bool, Field(json_schema_extra=OPERATIONAL)] = False
    """Only one step of every stage with its largest batch: peak memory and time, before days are spent."""

    @field_validator("stages")
    @classmethod
    def _stages_ascend(cls, stages: list[StageConfig]) -> list[StageConfig]:
        if not stages:
            raise ValueError("is empty; name at least one stage")
        for before, after in pairwise(stages):
            if after.max_seq_tokens < before.max_seq_tokens:
                raise ValueError(
                    f"{after.name} has max_seq_tokens {after.max_seq_tokens}, shorter than {before.name} before it; "
                    f"at least {before.max_seq_tokens}"
                )
        names = [stage.name for stage in stages]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"names {sorted(twice)[0]} twice; every stage has a folder of its own")
        return stages

    @model_validator(mode="after")
    def _workers_make_whole_groups(self) -> "TrainConfig":
        for stage in self.stages:
            for name in stage.mix:
                if name not in self.sources:
                    raise ValueError(
                        f"stages.{stage.name}.mix names {name}, which is not in train.sources; known: "
                        f"{', '.join(self.sources)}"
                    )
            for field, workers in (("num_workers", self.num_workers), ("min_workers", self.min_workers)):
                if workers is not None and workers % stage.sequence_parallel_size:
                    size = stage.sequence_parallel_size
                    raise ValueError(
                        f"{field} {workers} is no multiple of sequence_parallel_size {size} of stage {stage.name}; "
                        f"{-(-workers // size) * size} is"
                    )
        if self.min_workers is not None and self.min_workers > self.num_workers:
            raise ValueError(
                f"min_workers {self.min_workers} is above num_workers {self.num_workers}; at most that"
            )
        return self
