"""Every setting of Longstrap and every default, once.

A recipe is one YAML file of these fields; `--section.field VALUE` on the command line overrides it (see
`app.recipe`). All models are strict: an unknown key or a wrong type is an error that names the field. Fields
marked `OPERATIONAL` may change between a run and its resumption; all others are what a run is (`identity`).
"""

import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

OPERATIONAL: dict[str, Any] = {"operational": True}

Share = Annotated[float, Field(ge=0.0, le=1.0)]
NonNegativeCount = Annotated[int, Field(ge=0)]
NodeLabels = dict[str, str]
"""Ray's labels (`ray start --labels`, node types of a cluster) that a node must have; empty: any node will do."""


def cache_dir() -> Path:
    """Folder for what comes from packages and hubs and all runs share: models, a node's copy of an index."""
    return Path(os.environ.get("LONGSTRAP_CACHE", "~/.cache/longstrap")).expanduser()


def ray_address() -> str | None:
    """Address of the Ray cluster to join, which `ray job submit` sets too; None: a Ray of the job's own."""
    address = os.environ.get("RAY_ADDRESS", "")
    return None if address in ("", "local") else address


def read_secret(variable: str) -> str | None:
    """Value of the environment variable that a `*_env` setting names; secrets never live in a recipe."""
    return os.environ.get(variable) or None


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class FieldNames(Section):
    """Which field (JSONL) or column (Parquet) holds what. Text and Markdown files have no fields."""

    text: str = "text"
    """The document's text."""
    title: str | None = "title"
    """Shown above the document in a long context; a row without it is fine."""


class SourceConfig(Section):
    """One place that documents come from."""

    path: str
    """File, folder, glob, or the same under s3:// or gs://."""
    format: Literal["auto", "jsonl", "parquet", "text"] = "auto"
    """`auto` goes by the name: .jsonl[.gz|.zst], .json[.gz|.zst], .parquet, .txt, .md, .rst."""
    fields: FieldNames = FieldNames()


class DedupConfig(Section):
    """Removal of repeated documents. Exact repeats always go, as a document's id is its content's hash."""

    near: bool = True
    """MinHash near-duplicate removal."""
    threshold: Annotated[float, Field(gt=0.0, le=1.0)] = 0.8
    """Estimated Jaccard similarity from which two documents count as one."""
    num_permutations: PositiveInt = 128
    shingle_words: PositiveInt = 5


class DecontaminationConfig(Section):
    """Removal of documents that share text with a benchmark."""

    paths: list[str] = []
    """Files or folders of evaluation text (JSON, JSONL or plain text)."""
    ruler: bool = True
    """Also RULER's ingredients, where `python -m app.bundled ruler` has put them in the cache."""
    ngram_words: PositiveInt = 13


class CorpusConfig(Section):
    """Documents → passages."""

    sources: list[SourceConfig]
    max_document_bytes: PositiveInt = 10_000_000
    """A larger document is rejected, not cut."""
    max_reject_share: Annotated[Share, Field(json_schema_extra=OPERATIONAL)] = 0.05
    """The job stops when more than this share of the rows is malformed."""
    passage_tokens: Annotated[int, Field(ge=8)] = 384
    """Most tokens of a passage, in the generator's tokenizer."""
    documents_per_shard: PositiveInt = 20_000
    dedup: DedupConfig = DedupConfig()
    decontamination: DecontaminationConfig = DecontaminationConfig()

    @field_validator("sources")
    @classmethod
    def _not_empty(cls, sources: list[SourceConfig]) -> list[SourceConfig]:
        if not sources:
            raise ValueError("is empty; name at least one `path`")
        return sources


class RetrievalConfig(Section):
    """Passages → vectors → index → ranked documents."""

    model: str
    """sentence-transformers model: hub name, local, s3:// or gs:// folder, bundled:multilingual-e5-small."""
    revision: str | None = None
    query_prefix: str | None = None
    """Put before every query; left out: what the model's card asks for (`query: `, or an instruction)."""
    passage_prefix: str | None = None
    embedding_tokens: PositiveInt = 512
    """Most tokens of the embedder's own tokenizer that it reads of one passage."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_size: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 32
    index_factory: str = "Flat"
    """FAISS factory string, inner product: `Flat`, `IVF4096,PQ64`, `IVF65536_HNSW32,PQ64` …"""
    nprobe: PositiveInt = 64
    """Inverted lists visited by a query, for IVF indexes."""
    num_training_vectors: PositiveInt = 1_000_000
    """Vectors sampled to train an index that needs training."""
    num_recall_queries: PositiveInt = 200
    """Sampled passages whose neighbours are compared with exact search when the index is built."""
    min_recall: Share = 0.5
    """An index below this recall@10 is refused."""
    min_embed_actors: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 1
    max_embed_actors: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 1
    cpus_per_embed_actor: Annotated[float, Field(ge=0, json_schema_extra=OPERATIONAL)] = 1.0
    gpus_per_embed_actor: Annotated[float, Field(ge=0, json_schema_extra=OPERATIONAL)] = 0.0
    num_retrievers: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 1
    """Retriever actors; queries go round."""
    cpus_per_retriever: Annotated[float, Field(ge=0, json_schema_extra=OPERATIONAL)] = 0.0
    gpus_per_retriever: Annotated[float, Field(ge=0, json_schema_extra=OPERATIONAL)] = 0.0
    node_labels: Annotated[NodeLabels, Field(json_schema_extra=OPERATIONAL)] = {}
    """Of the nodes that embed, build the index and retrieve, e.g. {pool: generate}."""


class SamplingConfig(Section):
    """How every step of the agent samples."""

    temperature: Annotated[float, Field(ge=0.0)] = 0.7
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 0.95
    repetition_penalty: PositiveFloat = 1.0


class GeneratorSection(Section):
    model: str
    """vLLM: hub name, local, s3:// or gs:// folder, bundled:smollm2-135m-instruct. OpenAI: its name."""
    revision: str | None = None
    max_model_tokens: PositiveInt = 8192
    """The generator's context: prompt and answer of one call."""
    sampling: SamplingConfig = SamplingConfig()
    max_concurrent_calls: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 256
    """Calls in flight at once from one agent actor."""
    call_timeout_sec: Annotated[PositiveFloat, Field(json_schema_extra=OPERATIONAL)] = 600.0
    max_attempts: PositiveInt = 3
    """Times one call is tried when it times out, fails, or answers in the wrong form."""


_OWN_ENGINE_ARGS = {
    "model": "model",
    "revision": "revision",
    "dtype": "dtype",
    "max_model_len": "max_model_tokens",
    "tensor_parallel_size": "tensor_parallel_size",
}
_OWN_SERVING_ARGS = {
    **_OWN_ENGINE_ARGS,
    "pipeline_parallel_size": "pipeline_parallel_size",
    "kv_cache_dtype": "kv_cache_dtype",
    "max_num_seqs": "max_concurrent_requests",
    "gpu_memory_utilization": "memory_share",
}
"""vLLM's name → ours, of what has a setting of its own."""


def _checked_engine_args(arguments: dict[str, Any], own: dict[str, str], section: str) -> dict[str, Any]:
    for name in arguments:
        if name in own:
            raise ValueError(f"holds {name}; set {section}.{own[name]} instead")
        if name.lower().endswith(("token", "api_key", "password", "secret")):
            raise ValueError(f"holds {name}, and recipes are recorded; give secrets in the environment")
    return arguments


def _checked_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("is no URL; for example http://HOST:8000/v1")
    if "@" in url or "?" in url:
        raise ValueError("holds a login or a query, and recipes are recorded; give the key by api_key_env")
    return url


_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")


def placeholders(text: str) -> set[str]:
    """The {names} in a text; other braces are text like any other."""
    return set(_PLACEHOLDER.findall(text))


def _check_placeholders(field: str, text: str, known: set[str]) -> None:
    unknown = placeholders(text) - known
    if unknown:
        choices = ", ".join(f"{{{name}}}" for name in sorted(known)) or "none"
        raise ValueError(f"{field} has {{{min(unknown)}}}, which is not filled in there; known are {choices}")


def _checked_list(values: list[Any]) -> list[Any]:
    if not values:
        raise ValueError("is empty; name at least one")
    if len(set(values)) < len(values):
        raise ValueError("names one twice; leave one out")
    return values


class VllmConfig(GeneratorSection):
    """A vLLM engine inside each agent actor; it serves all steps of many rows at once."""

    type: Literal["vllm"] = "vllm"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    tensor_parallel_size: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 1
    cpu_kv_cache_gib: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 2
    """KV cache of an engine that runs on a CPU; ignored on a GPU."""
    cpu_threads: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 1
    """OpenMP threads of an engine that runs on a CPU; ignored on a GPU."""
    engine_args: Annotated[dict[str, Any], Field(json_schema_extra=OPERATIONAL)] = {}
    """Further `vllm.AsyncEngineArgs`, e.g. gpu_memory_utilization, kv_cache_dtype, enforce_eager."""
    max_engine_restarts: Annotated[NonNegativeCount, Field(json_schema_extra=OPERATIONAL)] = 3
    """Times an actor starts a dead engine anew before it gives up."""

    @field_validator("engine_args")
    @classmethod
    def _without_secrets(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        return _checked_engine_args(arguments, _OWN_ENGINE_ARGS, "generator")


class OpenAiConfig(GeneratorSection):
    """Any OpenAI-compatible endpoint."""

    type: Literal["openai"] = "openai"
    base_url: Annotated[str, Field(json_schema_extra=OPERATIONAL)]
    api_key_env: Annotated[str, Field(json_schema_extra=OPERATIONAL)] = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key."""
    num_retries: Annotated[NonNegativeCount, Field(json_schema_extra=OPERATIONAL)] = 6
    """Retries, with growing pauses, while the endpoint is away or its rate limit is reached; then the job stops."""
    tokenizer: str
    """Model or folder whose tokenizer counts the endpoint's tokens."""

    @field_validator("base_url")
    @classmethod
    def _is_url_without_secrets(cls, url: str) -> str:
        return _checked_url(url)

    @model_validator(mode="after")
    def _knows_its_sampling(self) -> "OpenAiConfig":
        if self.sampling.repetition_penalty != 1.0:
            raise ValueError(
                f"sampling.repetition_penalty {self.sampling.repetition_penalty} is unknown to OpenAI's interface; "
                f"leave it out"
            )
        return self


GeneratorConfig = Annotated[VllmConfig | OpenAiConfig, Field(discriminator="type")]


class AgentConfig(Section):
    """The workflow that makes one example."""

    task_weights: dict[str, Annotated[float, Field(ge=0.0)]] = {
        "compare": 1.0,
        "trace": 1.0,
        "aggregate": 1.0,
        "multi_hop": 1.0,
        "aspects": 1.0,
        "timeline": 1.0,
        "contradiction": 1.0,
        "explain": 1.0,
    }
    """Long-input kinds of instruction (`app.agent.prompts.TASKS`) and how often each is drawn."""
    document_tokens: PositiveInt = 32_768
    """Most tokens taken from one document: the stretch around the passages that were found."""
    chunk_tokens: PositiveInt = 4096
    """Most tokens of one chunk that is summarised (4K in the paper)."""
    instruction_tokens: PositiveInt = 160
    summary_tokens: PositiveInt = 256
    answer_tokens: PositiveInt = 1024
    max_summary_rounds: PositiveInt = 4
    """Depth of the recursion over summaries."""


class LengthRange(Section):
    """A range of target lengths, drawn evenly within, and how often the range itself is drawn."""

    min_tokens: PositiveInt
    max_tokens: PositiveInt
    weight: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> "LengthRange":
        if self.max_tokens < self.min_tokens:
            raise ValueError(f"max_tokens {self.max_tokens} is below min_tokens {self.min_tokens}; swap them")
        return self


class FilterConfig(Section):
    """What makes a finished example a reject."""

    min_answer_words: NonNegativeCount = 8
    max_repetition: Share = 0.5
    """Share of an answer's word 4-grams that are repeats of earlier ones."""
    max_instruction_overlap: Share = 0.6
    """Share of an answer's word 4-grams that stand in the instruction."""
    instruction_similarity: Annotated[float, Field(gt=0.0, le=1.0)] = 0.8
    """Jaccard similarity from which two instructions are near-duplicates; the later seed is rejected."""


class PublishConfig(Section):
    """`synthesize --dataset.publish.repo NAME` pushes the finished dataset to the Hugging Face Hub."""

    repo: str | None = None
    private: bool = True
    token_env: str = "HF_TOKEN"  # noqa: S105 (the variable's name)


class DatasetConfig(Section):
    """Seeds → examples → Parquet."""

    tokenizer: str | None = None
    """Whose tokens and chat template give the lengths: the model to be trained; left out: the generator."""
    num_long_input_seeds: NonNegativeCount
    num_long_output_seeds: NonNegativeCount
    target_lengths: list[LengthRange]
    """Distribution of a long-input example's length, chat template and answer included."""
    long_output_tokens: LengthRange = LengthRange(min_tokens=2_000, max_tokens=32_000)
    """Documents of this length may become a long output."""
    filters: FilterConfig = FilterConfig()
    row_group_bytes: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 150_000_000
    """The Hub's viewer reads whole row groups and wants them between 100 and 300 MB."""
    rows_per_shard: PositiveInt = 2_000
    keep_calls: Annotated[bool, Field(json_schema_extra=OPERATIONAL)] = False
    """Keep the journal of LLM calls, with their prompts, after the dataset is complete."""
    publish: Annotated[PublishConfig, Field(json_schema_extra=OPERATIONAL)] = PublishConfig()

    @field_validator("target_lengths")
    @classmethod
    def _not_empty(cls, lengths: list[LengthRange]) -> list[LengthRange]:
        if not lengths:
            raise ValueError("is empty; name at least one range `{min_tokens: …, max_tokens: …}`")
        return lengths


class PipelineConfig(Section):
    """The agent actors."""

    min_actors: PositiveInt = 1
    max_actors: PositiveInt = 1
    cpus_per_actor: Annotated[float, Field(ge=0)] = 1.0
    gpus_per_actor: Annotated[float, Field(ge=0)] = 0.0
    node_labels: NodeLabels = {}
    """Of the nodes that the agent actors run on, e.g. {pool: generate}."""
    rows_per_batch: PositiveInt = 8
    """Seeds handed to an actor together; also the most that the row-level checkpoint can lose."""
    batches_per_actor: PositiveInt = 4
    """Batches that one actor works on at once: their rows share the engine."""


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


class ServedModelConfig(Section):
    """One model behind the server. It is called by its key in `serve.models`."""

    model: str
    """Hub name, local, s3:// or gs:// folder, bundled:NAME, or stage:NAME for the export of one of the run's stages."""
    revision: str | None = None
    max_model_tokens: PositiveInt | None = None
    """Longest prompt and answer together; left out: what the checkpoint's own RoPE settings say. More is refused."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    kv_cache_dtype: Literal["auto", "fp8"] = "auto"
    """fp8 halves what a long context needs; `auto`: as the weights."""
    tensor_parallel_size: PositiveInt = 1
    pipeline_parallel_size: PositiveInt = 1
    min_replicas: PositiveInt = 1
    max_replicas: PositiveInt = 1
    """With more than min_replicas the number follows the requests."""
    max_concurrent_requests: PositiveInt = 64
    """That the engine of one replica works on at once."""
    max_queued_requests: PositiveInt = 256
    """That wait for a replica; one more is answered with HTTP 429."""
    cpus_per_replica: PositiveFloat = 1.0
    gpus_per_replica: Annotated[float, Field(ge=0)] = 0.0
    """0 for an engine on a CPU, else tensor_parallel_size times pipeline_parallel_size."""
    device_memory_gib: PositiveFloat | None = None
    """Memory of one device, for the plan; left out: this machine's, on a Ray of the job's own."""
    memory_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """Of a device's memory that the engine may take."""
    cpu_kv_cache_gib: PositiveInt = 2
    """KV cache of an engine that runs on a CPU; ignored on a GPU."""
    cpu_threads: PositiveInt = 1
    """OpenMP threads of an engine that runs on a CPU; ignored on a GPU."""
    engine_args: dict[str, Any] = {}
    """Further `vllm.AsyncEngineArgs`, e.g. enforce_eager, max_num_batched_tokens."""

    @field_validator("engine_args")
    @classmethod
    def _without_secrets(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        return _checked_engine_args(arguments, _OWN_SERVING_ARGS, "serve.models.NAME")

    @model_validator(mode="after")
    def _replicas_are_whole(self) -> "ServedModelConfig":
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"min_replicas {self.min_replicas} is above max_replicas {self.max_replicas}; at most that"
            )
        size = self.tensor_parallel_size * self.pipeline_parallel_size
        if self.gpus_per_replica not in (0, size):
            raise ValueError(
                f"gpus_per_replica {self.gpus_per_replica:g} is not tensor_parallel_size times pipeline_parallel_size; "
                f"{size}, or 0 for a CPU"
            )
        return self


class ServeConfig(Section):
    """Models behind an OpenAI-compatible URL."""

    models: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")], ServedModelConfig]
    """Name in requests → what it is."""
    host: str = "127.0.0.1"
    """Address to listen on. On any but a loopback one an API key is required."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    api_key_env: str = "LONGSTRAP_API_KEY"
    """Name of the environment variable that holds the key which clients must send."""
    api_key_file: str | None = None
    """File with the key instead, as secrets are mounted."""
    max_body_bytes: PositiveInt = 64_000_000
    """A larger request is refused unread; a million tokens as numbers are 7 MB."""
    request_timeout_sec: PositiveFloat = 3600.0
    drain_timeout_sec: PositiveFloat = 60.0
    """Time for requests under way to end when the server is told to stop."""
    startup_timeout_sec: PositiveFloat = 1800.0
    """Time for all models to be loaded."""
    plan: bool = False
    """Only print weights, KV cache and what fits, and load nothing."""

    @field_validator("models")
    @classmethod
    def _not_empty(cls, models: dict[str, ServedModelConfig]) -> dict[str, ServedModelConfig]:
        if not models:
            raise ValueError("is empty; name at least one model `NAME: {model: …}`")
        return models


class EvaluatedModelConfig(Section):
    """One model that is asked."""

    tokenizer: str | None = None
    """Model or folder whose tokenizer and chat template make its prompts; left out: the one in `serve.models`."""
    revision: str | None = None


class NiahConfig(Section):
    """Needle in a haystack: a fact at a depth of a text, and the question for it."""

    lengths_tokens: list[PositiveInt] = [4096, 8192, 16384, 32768, 65536, 131072]
    depths_percent: list[Annotated[float, Field(ge=0.0, le=100.0)]] = [
        0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0,
    ]  # fmt: skip
    """Where the needle stands; of several needles the first, while the others part the rest evenly."""
    num_trials: PositiveInt = 1
    """Prompts of a cell, each with other needles."""
    introduction: str = "Read the following text. I will ask you about it afterwards."
    """Stands before the haystack, the same for all prompts."""
    needles: list[str] = ["One of the special magic numbers for {key} is: {value}."]
    """Sentences with {key} and {value}, which are drawn anew for each trial, or without them."""
    num_needles: Annotated[int, Field(ge=1, le=64)] | None = None
    """Left out: one of each; more than there are: the same sentences with other keys and values."""
    question: str = "What is the special magic number for {keys} mentioned in the provided text?"
    """{keys}: those of all needles. With {key} instead, only the first needle is asked for."""
    answer_prefix: str = "The special magic number for {keys} mentioned in the provided text is"
    """What the reply begins with, put there for the model; empty: nothing."""
    references: list[str] = ["{value}"]
    """What a right reply holds: those with {key} or {value} once for each needle that is asked for."""
    haystack: str | None = None
    """Text file, folder or glob; left out: the bundled public-domain sample."""
    max_output_tokens: PositiveInt = 64

    @field_validator("lengths_tokens", "depths_percent", "needles", "references")
    @classmethod
    def _not_empty(cls, values: list[Any]) -> list[Any]:
        return _checked_list(values)

    @property
    def asks_for_first_alone(self) -> bool:
        """Whether the question is for the first needle, among others."""
        wanted = placeholders(self.question)
        return bool(wanted) and "keys" not in wanted

    @model_validator(mode="after")
    def _placeholders_are_filled(self) -> "NiahConfig":
        _check_placeholders("introduction", self.introduction, set())
        for needle in self.needles:
            _check_placeholders("needles", needle, {"key", "value"})
        asked = self.needles[:1] if self.asks_for_first_alone else self.needles
        drawn = {name for needle in asked for name in placeholders(needle)}
        known = drawn | {"keys"} if "key" in drawn else drawn
        for field, text in (("question", self.question), ("answer_prefix", self.answer_prefix)):
            _check_placeholders(field, text, {"key", "value", "keys"})
            if not placeholders(text) <= known:
                raise ValueError(
                    f"{field} {text!r} asks for what no needle has; give one that fits the needles"
                )
        for reference in self.references:
            _check_placeholders("references", reference, {"key", "value"})
            if not placeholders(reference) <= drawn:
                raise ValueError(f"references {reference!r} is what no needle has; give the right answers")
        return self

    @model_validator(mode="after")
    def _needles_differ(self) -> "NiahConfig":
        num_sentences, num_needles = len(self.needles), self.num_needles or len(self.needles)
        if num_needles < num_sentences:
            raise ValueError(
                f"num_needles {num_needles} is below the {num_sentences} of needles; leave it out"
            )
        if num_needles > num_sentences and not all(map(placeholders, self.needles)):
            raise ValueError(
                f"num_needles {num_needles} would repeat a needle without {{key}} or {{value}}; leave it out"
            )
        return self


class RulerConfig(Section):
    """RULER's 13 tasks (arXiv 2404.06654, as in NVIDIA/RULER)."""

    lengths_tokens: list[PositiveInt] = [4096, 8192, 16384, 32768, 65536, 131072]
    tasks: list[str] = []
    """Of the 13; empty: all."""
    num_samples: PositiveInt = 500
    """Of each task and length."""
    data: str | None = None
    """Folder with squad.json, hotpotqa.json, PaulGrahamEssays.json or word lists; what it has not got, or all, is what
    `python -m app.bundled ruler` has put into the cache."""
    haystack: str | None = None
    """Own text (file, folder or glob) instead of the essays; its scores are not comparable with published ones."""

    @field_validator("lengths_tokens")
    @classmethod
    def _not_empty(cls, values: list[Any]) -> list[Any]:
        return _checked_list(values)


class ShortConfig(Section):
    """Short tasks, by lm-eval: what a stage cost."""

    tasks: list[str] = []
    """lm-eval's names, e.g. ifeval, leaderboard_mmlu_pro; empty: the bundled set, which needs no download."""
    num_samples: PositiveInt | None = None
    """Of each task; left out: all."""


class RecallConfig(Section):
    """Does the answer follow the context, or what the model remembers?"""

    lengths_tokens: list[PositiveInt] = [4096]
    num_samples: PositiveInt = 50
    """Questions of each of the two kinds, facts and chains, each asked with the true context, with a changed one, and
    without any."""
    haystack: str | None = None
    """Text file, folder or glob; left out: speeches and a novel of the bundled public-domain sample."""
    max_output_tokens: PositiveInt = 48

    @field_validator("lengths_tokens")
    @classmethod
    def _not_empty(cls, values: list[Any]) -> list[Any]:
        return _checked_list(values)


class EvaluateConfig(Section):
    """Questions to models behind an OpenAI-compatible URL."""

    url: Annotated[str | None, Field(json_schema_extra=OPERATIONAL)] = None
    """Of the endpoint, with /v1; left out: the models of `serve` are served for as long as it takes."""
    api_key_env: Annotated[str, Field(json_schema_extra=OPERATIONAL)] = "LONGSTRAP_API_KEY"
    """Name of the environment variable that holds the key; unset: none is sent."""
    models: dict[str, EvaluatedModelConfig] = {}
    """Name at the endpoint → whose tokenizer; empty: all of `serve.models`. The first one is what the others are
    compared with."""
    suites: Annotated[
        list[Literal["niah", "ruler", "short", "recall"]], Field(json_schema_extra=OPERATIONAL)
    ] = ["niah", "ruler"]
    template: Literal["chat", "base"] = "chat"
    """A chat turn of the model's own template, or the bare text, for a model without one."""
    api: Literal["completions", "chat"] = "completions"
    """completions: the prompt's tokens are sent, and exactly they are read. chat: for endpoints that have nothing
    else; the answer prefix goes along as the begun reply."""
    num_concurrent_requests: Annotated[PositiveInt, Field(json_schema_extra=OPERATIONAL)] = 16
    request_timeout_sec: Annotated[PositiveFloat, Field(json_schema_extra=OPERATIONAL)] = 3600.0
    num_retries: Annotated[NonNegativeCount, Field(json_schema_extra=OPERATIONAL)] = 5
    """Of one request that finds the endpoint away or full, with growing pauses."""
    failures_count_as_wrong: Annotated[bool, Field(json_schema_extra=OPERATIONAL)] = False
    """Score a request that failed for good as a wrong answer; otherwise there is no score until it is answered."""
    num_generation_workers: Annotated[PositiveInt | None, Field(json_schema_extra=OPERATIONAL)] = None
    """Processes that make samples; left out: one a core."""
    niah: NiahConfig = NiahConfig()
    ruler: RulerConfig = RulerConfig()
    short: ShortConfig = ShortConfig()
    recall: RecallConfig = RecallConfig()

    @field_validator("url")
    @classmethod
    def _is_url_without_secrets(cls, url: str | None) -> str | None:
        return None if url is None else _checked_url(url)


class GateConfig(Section):
    """What each stage must reach before the next, dearer one is started. Left out: it is not measured."""

    min_niah_percent: Annotated[float | None, Field(ge=0.0, le=100.0)] = None
    """Needles found at the longest of evaluate.niah.lengths_tokens that the stage reads."""
    max_short_points_lost: Annotated[float | None, Field(ge=0.0, le=100.0)] = None
    """Of the mean over evaluate.short.tasks, in points, against the first of the evaluated models."""

    @property
    def is_set(self) -> bool:
        return self.min_niah_percent is not None or self.max_short_points_lost is not None


class BootstrapConfig(Section):
    """The whole loop: documents, dataset, stages, gates, evaluation, report."""

    rounds: PositiveInt = 1
    """After the first, the model that the round before extended writes the examples; the stages start from the original
    model again. Each has a folder of its own in the run: round2, round3 …"""
    later_rounds: dict[str, Any] = {}
    """Dotted setting → its value in all rounds after the first, e.g. {generator.max_model_tokens: 131072}."""
    gate: GateConfig = GateConfig()


class NodeConfig(Section):
    """Machines of one type, as a plan counts with them."""

    num_gpus: NonNegativeCount = 0
    gpu_memory_gib: PositiveFloat = 80.0
    gpu_peak_tflops: PositiveFloat = 989.0
    """Dense bfloat16, a GPU. This and the next two: an H100 SXM's data sheet."""
    gpu_bandwidth_gb_per_sec: PositiveFloat = 3350.0
    """Of a GPU's memory."""
    num_cpus: PositiveInt = 16
    memory_gib: PositiveFloat = 64.0
    """Of the machine."""
    cpu_peak_gflops: PositiveFloat = 350.0
    """A core, in the dtype of the computation: what a model that runs on a CPU is planned with."""
    cpu_bandwidth_gb_per_sec: PositiveFloat = 5.0
    """A core's share of the machine's memory bandwidth."""
    price_per_hour: Annotated[float | None, Field(ge=0.0)] = None
    """Of one machine, in any currency; left out: no money is planned."""


class NodesConfig(Section):
    """The node types of `cluster.yaml`, by its names."""

    head: NodeConfig = NodeConfig()
    cpu: NodeConfig = NodeConfig()
    generate_gpu: NodeConfig = NodeConfig(num_gpus=8, num_cpus=192, memory_gib=2048.0)
    """Embed, generate and answer the evaluation."""
    train_gpu: NodeConfig = NodeConfig(num_gpus=8, num_cpus=192, memory_gib=2048.0)


class PlanConfig(Section):
    """What `longstrap plan` counts with, and what no file tells before anything is made."""

    json_path: str | None = None
    """File for the plan as JSON, beside the table."""
    cluster: str | None = None
    """`ray up` file with these node types: how many there are at most, and a node's CPUs and GPUs; left out: as many
    nodes as actors and workers ask for."""
    nodes: NodesConfig = NodesConfig()
    num_corpus_documents: PositiveInt | None = None
    """Left out, like the next: counted in the run's corpus, or in a sample of its files that can be read here."""
    num_corpus_tokens: PositiveInt | None = None
    example_tokens: dict[str, PositiveInt] = {}
    """Source of `train.sources` with a path → mean tokens of its examples; left out: whole sequences, the most."""
    reply_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.6
    """Of a step's token limit that the generator's replies take."""
    reply_tokens: dict[str, PositiveInt] = {}
    """Step of the workflow → mean tokens of its replies instead, as a pilot's statistics.json has them."""
    attempts_per_call: Annotated[float, Field(ge=1.0)] = 1.0
    """Times that a call is made until its reply is usable."""
    price_per_million_prompt_tokens: Annotated[float | None, Field(ge=0.0)] = None
    """Of a generator behind an endpoint."""
    price_per_million_output_tokens: Annotated[float | None, Field(ge=0.0)] = None
    corpus_tokens_per_cpu_sec: PositiveFloat = 100_000.0
    """Tokens that a core reads, compares, cuts into passages and writes in a second; a server's core compares and cuts
    168,000 of the bundled sample."""
    embedding_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """Of a device's peak operations that embedding gets."""
    prefill_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.6
    """Of a device's peak operations that reading prompts gets."""
    decode_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.6
    """Of a device's memory bandwidth that writing replies gets."""
    train_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """Of a device's peak operations that training gets, all that is computed again included."""
    memory_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """Of a GPU's memory that training may fill; the rest is for the CUDA context, communication and fragments."""


class ProgressConfig(Section):
    """What a person sees while a job runs."""

    log_interval_sec: PositiveFloat = 60.0
    """A line in a log; on a terminal the view is live."""
    num_shown_examples: NonNegativeCount = 3


class RayConfig(Section):
    """How a job reaches Ray. Submitted jobs and running clusters are found through RAY_ADDRESS."""

    num_cpus: PositiveInt | None = None
    """Logical CPUs of a Ray that the job starts by itself; left out: all."""
    object_store_mb: PositiveInt | None = None
    temp_dir: str | None = None
    """Absolute; for sockets and logs of a Ray that the job starts by itself."""

    @field_validator("temp_dir")
    @classmethod
    def _leaves_room_for_sockets(cls, temp_dir: str | None) -> str | None:
        if temp_dir is not None and not temp_dir.startswith(("/", "~")):
            raise ValueError("is relative; give an absolute path")
        if temp_dir is not None and len(os.path.expanduser(temp_dir).encode()) > MAX_TEMP_DIR_BYTES:  # noqa: PTH111
            raise ValueError(f"is too long for sockets; at most {MAX_TEMP_DIR_BYTES} bytes")
        return temp_dir


class RunConfig(Section):
    """What every recipe has. One without the sections of `Config` trains on a dataset that is there already."""

    run_dir: Annotated[str, Field(json_schema_extra=OPERATIONAL)]
    """The run's folder: local, s3:// or gs://; on a cluster one that every node sees."""
    seed: int = 0
    train: TrainConfig | None = None
    serve: Annotated[ServeConfig | None, Field(json_schema_extra=OPERATIONAL)] = None
    evaluate: EvaluateConfig | None = None
    bootstrap: Annotated[BootstrapConfig, Field(json_schema_extra=OPERATIONAL)] = BootstrapConfig()
    plan: Annotated[PlanConfig, Field(json_schema_extra=OPERATIONAL)] = PlanConfig()
    progress: Annotated[ProgressConfig, Field(json_schema_extra=OPERATIONAL)] = ProgressConfig()
    ray: Annotated[RayConfig, Field(json_schema_extra=OPERATIONAL)] = RayConfig()

    @property
    def trained_model(self) -> tuple[str, str | None]:
        """Model that `train` extends, and its revision.

        Raises:
            ValueError: the settings name none.
        """
        if self.train is None or self.train.model is None:
            raise ValueError(
                "train.model: is left out, and no generator stands in for it; give the model to be trained"
            )
        return self.train.model, self.train.revision


class Config(RunConfig):
    """A run that makes its dataset out of documents."""

    corpus: CorpusConfig
    retrieval: RetrievalConfig
    generator: GeneratorConfig
    agent: AgentConfig = AgentConfig()
    dataset: DatasetConfig
    pipeline: Annotated[PipelineConfig, Field(json_schema_extra=OPERATIONAL)] = PipelineConfig()

    @model_validator(mode="after")
    def _calls_fit_the_generator(self) -> "Config":
        agent, limit = self.agent, self.generator.max_model_tokens
        needed = agent.chunk_tokens + agent.instruction_tokens + agent.summary_tokens + PROMPT_TOKENS
        if needed > limit:
            raise ValueError(
                f"agent.chunk_tokens {agent.chunk_tokens} does not fit generator.max_model_tokens {limit}; "
                f"at most {limit - needed + agent.chunk_tokens}"
            )
        needed = agent.answer_tokens + agent.instruction_tokens + 2 * agent.summary_tokens + PROMPT_TOKENS
        if needed > limit:
            raise ValueError(
                f"agent.answer_tokens {agent.answer_tokens} does not fit generator.max_model_tokens {limit}; "
                f"at most {limit - needed + agent.answer_tokens}"
            )
        if self.corpus.passage_tokens > min(agent.chunk_tokens, agent.document_tokens):
            raise ValueError(
                f"corpus.passage_tokens {self.corpus.passage_tokens} is above agent.chunk_tokens "
                f"{agent.chunk_tokens} or agent.document_tokens {agent.document_tokens}; "
                f"at most {min(agent.chunk_tokens, agent.document_tokens)}"
            )
        shortest = min(length.min_tokens for length in self.dataset.target_lengths)
        least = agent.answer_tokens + agent.instruction_tokens + PROMPT_TOKENS
        if shortest <= least:
            raise ValueError(
                f"dataset.target_lengths starts at {shortest} tokens, which leaves no room for documents "
                f"beside agent.answer_tokens and agent.instruction_tokens; at least {least + 1}"
            )
        return self

    @model_validator(mode="after")
    def _holds_no_login(self) -> "Config":
        places = {
            "run_dir": self.run_dir,
            "generator.model": self.generator.model,
            "retrieval.model": self.retrieval.model,
        }
        places |= {f"corpus.sources.{i}.path": source.path for i, source in enumerate(self.corpus.sources)}
        places |= {
            f"corpus.decontamination.paths.{i}": p for i, p in enumerate(self.corpus.decontamination.paths)
        }
        for field, place in places.items():
            if "://" in place and "@" in place.partition("://")[2].partition("/")[0]:
                raise ValueError(
                    f"{field}: {place.partition('://')[0]}://… holds a login, and recipes are recorded; "
                    f"give credentials in the environment"
                )
        return self

    @property
    def trained_model(self) -> tuple[str, str | None]:
        """Model that `train` extends, and its revision: the generator, unless it names another.

        Raises:
            ValueError: the generator is an endpoint, which has no weights to be trained.
        """
        if self.train is not None and self.train.model is not None:
            return self.train.model, self.train.revision
        if isinstance(self.generator, OpenAiConfig):
            raise ValueError(
                f"train.model: is left out, and generator.model {self.generator.model} is behind an endpoint; "
                f"give the model to be trained"
            )
        return self.generator.model, self.generator.revision

    @property
    def tokenizer_model(self) -> str:
        """Model whose tokenizer measures the examples."""
        return self.dataset.tokenizer or self.generator_tokenizer

    @property
    def tokenizer_revision(self) -> str | None:
        """Revision of `tokenizer_model`: the generator's, unless it is another model."""
        return None if self.dataset.tokenizer else self.generator.revision

    @property
    def generator_tokenizer(self) -> str:
        """Model whose tokenizer measures passages, chunks and calls."""
        return self.generator.tokenizer if isinstance(self.generator, OpenAiConfig) else self.generator.model


MAX_TEMP_DIR_BYTES = 40
"""A socket's path has at most 107 bytes, and Ray appends `/session_TIME_PID/sockets/plasma_store`."""

PROMPT_TOKENS = 512
"""Room for the fixed text of any one prompt and its chat template."""


def identity(section: BaseModel) -> dict[str, Any]:
    """The part of the settings that decides what is made, as JSON values; operational fields are left out."""
    kept: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("operational"):
            continue
        kept[name] = _identity_of_value(getattr(section, name))
    return kept


def _identity_of_value(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return identity(value)
    if isinstance(value, list):
        return [_identity_of_value(item) for item in value]
    if isinstance(value, dict):
        return {key: _identity_of_value(item) for key, item in value.items()}
    return value
