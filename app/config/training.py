"""Settings of training: sources, stages, optimizer, memory, workers."""

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from app.config.section import OPERATIONAL, NodeLabels, NonNegativeCount, Section, Share


class TrainSourceConfig(Section):
    """One source of training rows, for the mix of a stage."""

    path: str | None = None
    """File, folder or glob (Parquet, JSONL, text) with chats (`messages`) or plain texts (`text`). If omitted, the
    run's own dataset."""
    kind: Literal["long_input", "long_output", "structure"] | None = None
    """Take only rows of this kind from the run's own dataset."""
    loss: Literal["all", "response"] = "all"
    """Which tokens count in the loss: all, or the assistant's turns. The paper uses all for long examples, responses
    for short ones."""

    @model_validator(mode="after")
    def _kind_is_of_the_dataset(self) -> "TrainSourceConfig":
        if self.path is not None and self.kind is not None:
            raise ValueError(
                f"kind {self.kind} is given beside path {self.path}, which has no kinds; leave one out"
            )
        return self


class StageConfig(Section):
    """One training phase at one length. It starts from the weights of the previous stage."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Name of the stage and of its folder in the run."""
    max_seq_tokens: PositiveInt
    """Length of a training sequence."""
    rope_theta: Literal["rule", "search"] | PositiveFloat = "rule"
    """RoPE base: a number, `rule` or `search`. `rule` is the paper's, made for an 8B model: four times the base for
    each doubling of the length. `search` reads a handful of candidates untrained before the stage trains (the old
    base, the rule's and up to 16 times it, scaled positions) and takes the one that finds most needles; see `probe`."""
    rope_parameters: dict[str, Any] | None = None
    """A whole block of transformers' RoPE parameters instead of a base: `{rope_type: yarn, rope_theta: …, factor: …,
    …}`."""
    mix: dict[str, PositiveFloat]
    """Share of the tokens from each source, by name; only the ratios count."""
    num_steps: PositiveInt | None = None
    """Optimizer steps of the stage. Give this or `num_tokens`."""
    num_tokens: PositiveInt | None = None
    """Training tokens of the stage, rounded up to whole steps. Give this or `num_steps`."""
    batch_tokens: PositiveInt
    """Tokens per optimizer step: a multiple of `max_seq_tokens`."""
    max_epochs: PositiveFloat = 1.0
    """Most passes over a source; a stage that would need more is refused."""
    learning_rate: PositiveFloat
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup_steps: NonNegativeCount = 0
    min_learning_rate_share: Share = 0.1
    """Final value of the linear and cosine schedules, as a share of the learning rate."""
    documents: Literal["mask", "separator"] = "mask"
    """`mask`: packed documents attend only to themselves. `separator`: they attend to each other, with a separator
    token in between."""
    loss: Literal["all", "response"] | None = None
    """Which tokens count in the loss, for all sources. If omitted, each source's own setting."""
    sequence_parallel_size: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 1
    """Number of workers that share one sequence."""
    sequence_parallel_mode: Annotated[Literal["ulysses", "ring"], Field(json_schema_extra=OPERATIONAL)] = (
        "ulysses"
    )
    """`ulysses`: heads are split; with more workers than heads, Ulysses groups form a ring. `ring`: keys and values are
    passed around."""
    ulysses_size: Annotated[PositiveInt | None, Field(json_schema_extra=OPERATIONAL)] = None
    """Workers in each Ulysses group of a ring. If omitted, derived from the mode and the number of heads."""

    @model_validator(mode="after")
    def _is_whole(self) -> "StageConfig":
        if (self.num_steps is None) == (self.num_tokens is None):
            raise ValueError(
                f"stage {self.name} has num_steps {self.num_steps} and num_tokens {self.num_tokens}; give one"
            )
        if self.batch_tokens % self.max_seq_tokens:
            raise ValueError(
                f"batch_tokens {self.batch_tokens} is not a multiple of max_seq_tokens {self.max_seq_tokens}; "
                f"{max(self.batch_tokens // self.max_seq_tokens, 1) * self.max_seq_tokens} is"
            )
        if self.rope_theta != "rule" and self.rope_parameters is not None:
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
        """Optimizer steps of the whole stage; `num_tokens` is rounded up to whole steps."""
        if self.num_steps is not None:
            return self.num_steps
        assert self.num_tokens is not None
        return -(-self.num_tokens // self.batch_tokens)


class OptimizerConfig(Section):
    """Parameters of the AdamW optimizer."""

    beta1: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    beta2: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.95
    epsilon: PositiveFloat = 1e-8
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    """Weight decay of matrices. Vectors (norms, biases) never decay."""
    max_grad_norm: PositiveFloat = 1.0
    """Global norm that gradients are clipped to."""


class TrainMemoryConfig(Section):
    """Ways to fit longer sequences at the cost of time or traffic. None of them changes a result."""

    checkpoint_activations: bool = True
    """Keep only each layer's input and recompute the rest in the backward pass."""
    keep_attention: bool = True
    """Keep the attention's output of checkpointed layers as well, and do not recompute attention. It takes about as
    much memory as the inputs."""
    offload_checkpoints: bool = False
    """Keep what is kept of checkpointed layers in host memory."""
    mlp_tile_tokens: PositiveInt | None = None
    """Tokens that an MLP processes at once. If omitted, all."""
    loss_chunk_tokens: PositiveInt = 2048
    """Tokens whose logits are held in memory at once."""
    offload_optimizer: bool = False
    """Keep parameters, gradients and optimizer state in host memory, and run the optimizer there."""


class TrainConfig(Section):
    """The training stages and how to run them."""

    model: str | None = None
    """Model to extend: hub name, local, s3:// or gs:// folder, or bundled:NAME. If omitted, generator.model."""
    revision: str | None = None
    sources: dict[str, TrainSourceConfig] = {
        "long_input": TrainSourceConfig(kind="long_input"),
        "long_output": TrainSourceConfig(kind="long_output"),
        # The contexts are documents with foreign sentences in them: the answers are what is to be learned.
        "structure": TrainSourceConfig(kind="structure", loss="response"),
    }
    stages: list[StageConfig]
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Dtype of the computation. Master weights and optimizer state are float32."""
    export_dtype: Literal["bfloat16", "float32"] = "bfloat16"
    attention_kernel: Annotated[Literal["flash", "cudnn"], Field(json_schema_extra=OPERATIONAL)] = "flash"
    """What computes attention on GPUs. `flash`: torch's FlashAttention-2. `cudnn`: cuDNN, faster on Hopper and newer,
    for documents from 8,192 tokens on; shorter ones and sliding windows stay with `flash`."""
    optimizer: OptimizerConfig = OptimizerConfig()
    router_loss_weight: Annotated[float | None, Field(ge=0.0)] = None
    """Weight of the loss that keeps the experts of a mixture evenly busy, over a whole sequence. If omitted, the
    model's own `router_aux_loss_coef` if its `output_router_logits` is true, otherwise 0."""
    memory: Annotated[TrainMemoryConfig, Field(json_schema_extra=OPERATIONAL)] = TrainMemoryConfig()
    num_workers: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 1
    """Number of training processes, one per GPU. With `min_workers`, the largest number."""
    min_workers: Annotated[PositiveInt | None, Field(json_schema_extra=OPERATIONAL)] = None
    """Fewest workers to continue with when nodes are lost; the group grows back later. If omitted, always
    `num_workers`."""
    cpus_per_worker: Annotated[float, Field(ge=0, json_schema_extra=OPERATIONAL)] = 1.0
    gpus_per_worker: Annotated[float, Field(ge=0, json_schema_extra=OPERATIONAL)] = 0.0
    node_labels: Annotated[NodeLabels, Field(json_schema_extra=OPERATIONAL)] = {}
    """Labels of the nodes that the workers run on, e.g. {pool: train}."""
    max_failures: Annotated[NonNegativeCount, Field(json_schema_extra=OPERATIONAL)] = 3
    """How often lost workers are replaced before a stage gives up."""
    steps_per_checkpoint: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 50
    num_checkpoints_kept: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 2
    trackers: Annotated[list[Literal["tensorboard", "wandb"]], Field(json_schema_extra=OPERATIONAL)] = []
    """Trackers to log to in addition to metrics.jsonl, which is always written."""
    peak_tflops: Annotated[PositiveFloat | None, Field(json_schema_extra=OPERATIONAL)] = None
    """Dense bfloat16 peak of one device, for the MFU. If omitted, looked up for common NVIDIA GPUs; others show no
    MFU."""
    worker_memory_gib: Annotated[PositiveFloat | None, Field(json_schema_extra=OPERATIONAL)] = None
    """Memory of one worker's device, which the stages must fit. If omitted, this machine's, provided the job starts
    its own local Ray."""
    dry_run: Annotated[bool, Field(json_schema_extra=OPERATIONAL)] = False
    """Run only one step of every stage with its largest batch, to learn peak memory and time before days are spent."""

    @field_validator("stages")
    @classmethod
    def _stages_ascend(cls, stages: list[StageConfig]) -> list[StageConfig]:
        if not stages:
            raise ValueError("is empty; name at least one stage")
        for before, after in pairwise(stages):
            if after.max_seq_tokens < before.max_seq_tokens:
                raise ValueError(
                    f"{after.name} has max_seq_tokens {after.max_seq_tokens}, "
                    f"below the previous stage's ({before.name}); "
                    f"at least {before.max_seq_tokens}"
                )
        names = [stage.name for stage in stages]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"names {sorted(twice)[0]} twice; give every stage its own name")
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
                        f"{field} {workers} is not a multiple of sequence_parallel_size {size} of stage {stage.name}; "
                        f"{-(-workers // size) * size} is"
                    )
        if self.min_workers is not None and self.min_workers > self.num_workers:
            raise ValueError(
                f"min_workers {self.min_workers} is above num_workers {self.num_workers}; at most that"
            )
        return self
