"""Settings of the plan: machines, prices, rates."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from app.config.section import NonNegativeCount, Section


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
