"""Settings of the plan: machines, prices, rates."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from app.config.section import NonNegativeCount, Section


class NodeConfig(Section):
    """Machines of one type, as assumed by a plan."""

    num_gpus: NonNegativeCount = 0
    gpu_memory_gib: PositiveFloat = 80.0
    gpu_peak_tflops: PositiveFloat = 989.0
    """Dense bfloat16 peak of one GPU. The default is from the H100 SXM data sheet."""
    gpu_bandwidth_gb_per_sec: PositiveFloat = 3350.0
    """Memory bandwidth of one GPU. The default is from the H100 SXM data sheet."""
    num_cpus: PositiveInt = 16
    memory_gib: PositiveFloat = 64.0
    """Memory of one machine."""
    cpu_peak_gflops: PositiveFloat = 350.0
    """Peak of one core in the dtype of the computation. Used to plan models that run on a CPU."""
    cpu_bandwidth_gb_per_sec: PositiveFloat = 5.0
    """A core's share of the machine's memory bandwidth."""
    price_per_hour: Annotated[float | None, Field(ge=0.0)] = None
    """Price of one machine, in any currency. If omitted, the plan shows no costs."""


class NodesConfig(Section):
    """The node types of `cluster.yaml`, under the same names."""

    head: NodeConfig = NodeConfig()
    cpu: NodeConfig = NodeConfig()
    generate_gpu: NodeConfig = NodeConfig(num_gpus=8, num_cpus=192, memory_gib=2048.0)
    """Nodes that embed, generate, and serve the models during evaluation."""
    train_gpu: NodeConfig = NodeConfig(num_gpus=8, num_cpus=192, memory_gib=2048.0)


class PlanConfig(Section):
    """Assumptions of `longstrap plan`: machines, prices, and what cannot be known before the run."""

    json_path: str | None = None
    """File to write the plan to as JSON, in addition to the printed table."""
    cluster: str | None = None
    """`ray up` file with these node types, which gives each type's largest number of nodes, CPUs and GPUs. If omitted,
    the plan takes as many nodes as actors and workers ask for."""
    nodes: NodesConfig = NodesConfig()
    num_corpus_documents: PositiveInt | None = None
    """Documents in the corpus, used with `num_corpus_tokens` while the run has no corpus. If omitted, estimated from a
    sample of the files."""
    num_corpus_tokens: PositiveInt | None = None
    """Tokens in the corpus, used with `num_corpus_documents`."""
    example_tokens: dict[str, PositiveInt] = {}
    """Mean tokens per example of those `train.sources` that have a path, by name. If omitted, examples fill the
    sequence."""
    reply_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.6
    """Mean length of the generator's replies, as a share of each step's token limit."""
    reply_tokens: dict[str, PositiveInt] = {}
    """Mean tokens of the replies, by step of the workflow. Overrides `reply_share`; a pilot's statistics.json has
    them."""
    attempts_per_call: Annotated[float, Field(ge=1.0)] = 1.0
    """Mean number of attempts until a call gives a usable reply."""
    price_per_million_prompt_tokens: Annotated[float | None, Field(ge=0.0)] = None
    """Price of prompt tokens, if the generator is an endpoint."""
    price_per_million_output_tokens: Annotated[float | None, Field(ge=0.0)] = None
    """Price of output tokens, if the generator is an endpoint."""
    corpus_tokens_per_cpu_sec: PositiveFloat = 100_000.0
    """Tokens per second that one core reads, deduplicates, splits into passages and writes. A server's core
    deduplicates and splits 168,000 of the bundled sample."""
    embedding_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """Share of a device's peak FLOPs that embedding reaches."""
    prefill_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.6
    """Share of a device's peak FLOPs that prefill reaches."""
    decode_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.6
    """Share of a device's memory bandwidth that decoding reaches."""
    train_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """Share of a device's peak FLOPs that training reaches, recomputation included."""
    memory_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """Share of a GPU's memory that training may fill. The rest is for the CUDA context, communication and
    fragmentation."""
