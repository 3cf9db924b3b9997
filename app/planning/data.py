"""The first half of a plan: corpus, index and synthesis."""

import math
from dataclasses import asdict

from app.config import Config, OpenAiConfig, VllmConfig
from app.corpus.size import MARGIN as ESTIMATE_MARGIN
from app.dataset.preflight import unfillable_target
from app.dataset.seeds import num_seeds_of
from app.models.known import find_encoder, find_shape
from app.planning.calls import StepCalls, long_output_lengths, most_retrieved, plan_calls
from app.planning.corpus import CorpusPlan, plan_corpus
from app.planning.lengths import Lengths, of_ranges
from app.planning.machines import Cluster, Machines
from app.planning.serving import ServedPlan, plan_generator, time_calls
from app.planning.steps import Plan, PlannedMemory, PlannedStep
from app.planning.storage_bytes import corpus_bytes, dataset_bytes, index_bytes
from app.quantities import short

PREFIX_TOKENS = 4
"""`passage: ` and what encloses a text."""


def plan_data(config: Config, cluster: Cluster, plan: Plan) -> dict[str, Lengths]:
    """Add the steps of the dataset to a plan.

    Returns:
        Kind of example → lengths, for the training.

    Raises:
        UserError: The corpus is not known, or a setting cannot be.
    """
    corpus = plan_corpus(config)
    plan.notes.append(
        f"Corpus by {corpus.source}: {corpus.num_documents:,} documents, {corpus.num_tokens:,} tokens."
    )
    most = most_retrieved(config, corpus) * (1.0 if corpus.is_counted else ESTIMATE_MARGIN)
    if fault := unfillable_target(config, int(most)):
        plan.faults.append(fault)
    plan.steps.append(_corpus_step(config, corpus, cluster))
    plan.steps.append(_index_step(config, corpus, cluster, plan))
    plan.steps.append(_synthesis_step(config, corpus, cluster, plan))
    return example_lengths(config, corpus)


def example_lengths(config: Config, corpus: CorpusPlan) -> dict[str, Lengths]:
    """Kind of example → lengths."""
    contexts = of_ranges(config.dataset.target_lengths)
    return {
        "long_input": contexts,
        "long_output": long_output_lengths(config, corpus),
        "structure": contexts,
    }


def dataset_tokens(config: Config, lengths: dict[str, Lengths]) -> float:
    """Tokens of all examples, if no seed is rejected."""
    return sum(count * lengths[kind].mean for kind, count in num_seeds_of(config.dataset).items())


def _corpus_step(config: Config, corpus: CorpusPlan, cluster: Cluster) -> PlannedStep:
    num_cpus = config.ray.num_cpus or cluster.most_cpus("cpu")
    return PlannedStep(
        "corpus",
        f"{short(corpus.num_documents)} documents",
        cluster.cpus(num_cpus, 1.0),
        corpus.num_tokens / (num_cpus * config.plan.corpus_tokens_per_cpu_sec),
        storage_bytes=corpus_bytes(corpus),
    )


def _index_step(config: Config, corpus: CorpusPlan, cluster: Cluster, plan: Plan) -> PlannedStep:
    """Embedding; what FAISS does with the vectors is little beside it."""
    retrieval = config.retrieval
    work = f"{short(corpus.num_passages)} passages"
    encoder = find_encoder("retrieval.model", retrieval.model, retrieval.revision)
    if encoder is None:
        plan.notes.append(
            f"Not known: sizes of retrieval.model {retrieval.model}, as its hub is out of reach."
        )
        return PlannedStep("index", work)
    machines = _actors(
        cluster,
        retrieval.max_embed_actors,
        retrieval.min_embed_actors,
        retrieval.gpus_per_embed_actor,
        retrieval.cpus_per_embed_actor,
        "retrieval.min_embed_actors",
        plan,
    )
    tokens = min(corpus.passage_tokens, retrieval.embedding_tokens) + PREFIX_TOKENS
    flops = corpus.num_passages * encoder.flops(tokens)
    peak = machines.num_devices * machines.device.peak_flops * config.plan.embedding_share
    return PlannedStep(
        "index",
        work,
        machines,
        flops / peak,
        flops,
        storage_bytes=index_bytes(retrieval.index_factory, encoder.hidden_size, corpus.num_passages),
    )


def _synthesis_step(config: Config, corpus: CorpusPlan, cluster: Cluster, plan: Plan) -> PlannedStep:
    calls = plan_calls(config, corpus)
    plan.calls += [asdict(each) for each in calls]
    num_tokens = dataset_tokens(config, example_lengths(config, corpus))
    num_seeds = config.dataset.num_seeds
    prompts, outputs = sum(each.prompt_tokens for each in calls), sum(each.output_tokens for each in calls)
    num_calls = sum(each.num_calls for each in calls)
    plan.notes.append(
        f"Dataset, if no row is rejected: {num_seeds:,} examples, {round(num_tokens):,} tokens."
    )
    generator, money, machines, seconds = config.generator, None, None, None
    if not config.dataset.num_generator_seeds:
        plan.notes.append("Synthesis asks no generator: programs make all examples.")
    elif isinstance(generator, OpenAiConfig):
        money = _endpoint_money(config, prompts, outputs)
        plan.notes.append("Time of synthesis: not known, it is the endpoint's.")
    else:
        shape = find_shape("generator.model", generator.model, generator.revision)
        if shape is None:
            plan.notes.append(
                f"Not known: sizes of generator.model {generator.model}, as its hub is out of reach."
            )
        else:
            machines = _actors(
                cluster,
                config.pipeline.max_actors,
                config.pipeline.min_actors,
                config.pipeline.gpus_per_actor,
                config.pipeline.cpus_per_actor,
                "pipeline.min_actors",
                plan,
            )
            engine = plan_generator(generator, shape, machines)
            seconds = _generation_sec(config, generator, engine, calls, plan)
            machines = _with_retrievers(config, machines, cluster)
    return PlannedStep(
        "synthesize",
        f"{short(num_seeds)} examples",
        machines,
        seconds,
        num_calls=num_calls,
        prompt_tokens=prompts,
        output_tokens=outputs,
        storage_bytes=dataset_bytes(num_tokens, calls),
        other_money=money,
    )


def _generation_sec(
    config: Config, generator: VllmConfig, engine: ServedPlan, calls: list[StepCalls], plan: Plan
) -> float:
    time = time_calls(config, engine, calls)
    model = engine.memory
    if engine.fault:
        plan.faults.append(engine.fault)
    plan.memory.append(
        PlannedMemory(
            "synthesize",
            {
                "weights": model.weights_bytes / model.num_devices,
                "KV cache": model.device_kv_bytes_per_token * generator.max_model_tokens,
            },
            engine.device_bytes * model.served.memory_share,
            needs=f"tensor parallel {generator.tensor_parallel_size}",
            note=f"one call of {generator.max_model_tokens:,} tokens; {time.num_concurrent:.0f} mean ones at once",
        )
    )
    return time.total_sec / max(1, engine.machines.num_devices // model.num_devices)


def _with_retrievers(config: Config, engines: Machines, cluster: Cluster) -> Machines:
    """The machines of the actors, plus the GPUs that embed queries. Their work is negligible next to the engines'."""
    num_gpus = math.ceil(config.retrieval.num_retrievers * config.retrieval.gpus_per_retriever)
    if not num_gpus or not engines.device.is_gpu:
        return engines
    return cluster.gpus("generate_gpu", engines.num_devices + num_gpus)


def _actors(
    cluster: Cluster,
    most_actors: int,
    least_actors: int,
    gpus_per_actor: float,
    cpus_per_actor: float,
    field: str,
    plan: Plan,
) -> Machines:
    """Most actors that the settings allow and the cluster has GPUs for."""
    if not gpus_per_actor:
        return cluster.cpus(most_actors, cpus_per_actor)
    most = cluster.most_devices("generate_gpu")
    if most is not None:
        room = int(most / gpus_per_actor)
        if room < least_actors:
            plan.faults.append(
                f"{field} {least_actors} ask for {least_actors * gpus_per_actor:g} GPUs, and the cluster's "
                f"generate_gpu nodes have {most}; set it to {room}, or raise their max_workers"
            )
        most_actors = max(least_actors, min(most_actors, room))
    return cluster.gpus("generate_gpu", math.ceil(most_actors * gpus_per_actor))


def _endpoint_money(config: Config, prompt_tokens: float, output_tokens: float) -> float | None:
    prompt, output = config.plan.price_per_million_prompt_tokens, config.plan.price_per_million_output_tokens
    if prompt is None or output is None:
        return None
    return (prompt * prompt_tokens + output * output_tokens) / 1e6
