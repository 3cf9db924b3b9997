"""Checks that a job's settings can work, before anything is started: values, models, corpus.

Every fault is a ValueError of one line: the field, the value, and what would be right.
"""

import math
import os
import uuid
from pathlib import Path

from app.config import Config, OpenAiConfig, RunConfig, VllmConfig, ray_address, read_secret
from app.corpus.decontamination import list_evaluation_files
from app.corpus.sources import SourceFile, list_files
from app.model_checks import ModelFiles, find_model
from app.storage import Folder

USUAL_DIMS = (384, 768, 1024, 4096)
"""Embedding sizes to try an index factory with, when the embedder's own is not known."""
GPU_DEVICES = ("nvidia[0-9]*", "kfd", "dxg", "dri/renderD*", "accel/accel*")
"""Device files under /dev of machines that may have a GPU."""
OTHER_TOKENIZER_FACTOR = 2
PROMPT_ROLES, EXAMPLE_ROLES = ("system", "user", "assistant"), ("user", "assistant")


def check_index(config: Config) -> None:
    """What the corpus and the index need.

    Raises:
        ValueError: they cannot be made with these settings.
    """
    _check_index_inputs(config)
    _check_local_gpus({"retrieval.gpus_per_embed_actor": config.retrieval.gpus_per_embed_actor})
    check_run_dir(config)


def _check_index_inputs(config: Config) -> None:
    check_values(config)
    _check_local_cpus(config)
    check_local_labels({"retrieval.node_labels": config.retrieval.node_labels})
    find_model(_tokenizer_field(config), config.generator_tokenizer, config.generator.revision)
    _check_embedder(config)
    _check_files_open(list_files(config.corpus.sources, excluded=Folder(config.run_dir)))
    _check_evaluation_files(config)


def check_synthesis(config: Config) -> None:
    """What the dataset needs, its corpus and index included.

    Raises:
        ValueError: it cannot be made with these settings.
    """
    _check_secrets(config)
    _check_index_inputs(config)
    _check_local_gpus(
        {
            "retrieval.gpus_per_embed_actor": config.retrieval.gpus_per_embed_actor,
            "retrieval.gpus_per_retriever": config.retrieval.gpus_per_retriever,
            "pipeline.gpus_per_actor": config.pipeline.gpus_per_actor,
        }
    )
    check_local_labels({"pipeline.node_labels": config.pipeline.node_labels})
    _check_generator(config)
    if config.dataset.tokenizer:
        _check_chats(
            "dataset.tokenizer",
            config.dataset.tokenizer,
            find_model("dataset.tokenizer", config.dataset.tokenizer),
            EXAMPLE_ROLES,
        )
    _check_corpus_fills_targets(config)
    check_run_dir(config)


def check_values(config: RunConfig) -> None:
    """What needs no files: the part that is also right for a job that runs elsewhere.

    Raises:
        ValueError: a value that no machine can work with.
    """
    if isinstance(config, Config):
        _check_values_of_documents(config)


def _check_values_of_documents(config: Config) -> None:
    from app.agent.prompts import TASKS

    for task in config.agent.task_weights:
        if task not in TASKS:
            raise ValueError(f"agent.task_weights.{task}: there is no such task; known: {', '.join(TASKS)}")
    if config.dataset.num_long_input_seeds and not any(config.agent.task_weights.values()):
        raise ValueError("agent.task_weights: no task has a weight above 0; give at least one")
    for name in ("embed_actors", "actors"):
        section, values = (
            ("retrieval", config.retrieval) if "embed" in name else ("pipeline", config.pipeline)
        )
        least, most = getattr(values, f"min_{name}"), getattr(values, f"max_{name}")
        if least > most:
            raise ValueError(
                f"{section}.min_{name}: {least} is above {section}.max_{name} {most}; at most that"
            )


def check_targets_fit(config: Config, num_corpus_tokens: int) -> None:
    """Refuse target lengths that all documents together cannot fill.

    Args:
        config: Its lengths are in the trained model's tokens.
        num_corpus_tokens: In the generator's tokens; those of another tokenizer may be up to twice as many.

    Raises:
        ValueError: names the first such range.
    """
    is_same = config.tokenizer_model == config.generator_tokenizer
    _refuse_targets_above(config, num_corpus_tokens * (1 if is_same else OTHER_TOKENIZER_FACTOR))


def _refuse_targets_above(config: Config, most_tokens: int) -> None:
    if not config.dataset.num_long_input_seeds:
        return
    for index, length in enumerate(config.dataset.target_lengths):
        if length.max_tokens > most_tokens:
            raise ValueError(
                f"dataset.target_lengths.{index}.max_tokens: {length.max_tokens} is beyond the whole corpus; "
                f"at most {most_tokens}, or give more documents"
            )


def check_run_dir(config: RunConfig) -> None:
    """Write and delete a file. A refused start leaves no folder: one that was not there goes again.

    Raises:
        ValueError: this machine can't write there.
    """
    name = f".probe.{uuid.uuid4().hex}"
    try:
        folder = Folder(config.run_dir)
        was_there = folder.exists()
        folder.write_bytes(name, b"")
        folder.filesystem.delete_file(folder.file(name))
        if not was_there:
            folder.delete()
    except (OSError, ValueError) as error:
        raise ValueError(
            f"run_dir: {config.run_dir!r} can't be written to ({_in_a_line(error)}); "
            f"give a folder where this machine may write"
        ) from error


def _check_files_open(files: list[SourceFile]) -> None:
    """Read a byte of each source's first file; all of them would take long on an object store."""
    for file in {file.source_index: file for file in reversed(files)}.values():
        try:
            filesystem, path = file.open_filesystem()
            with filesystem.open_input_file(path) as stream:
                stream.read(1)
        except OSError as error:
            raise _unreadable(file, error) from error


def _unreadable(file: SourceFile, error: Exception) -> ValueError:
    return ValueError(
        f"corpus.sources.{file.source_index}.path: {file.name!r} can't be read ({_in_a_line(error)}); "
        f"give files that every node may read"
    )


def _check_evaluation_files(config: Config) -> None:
    try:
        list_evaluation_files(config.corpus.decontamination)
    except OSError as error:
        raise ValueError(
            f"corpus.decontamination.paths: can't be listed ({_in_a_line(error)}); give other paths"
        ) from error


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _check_secrets(config: Config) -> None:
    generator, publish = config.generator, config.dataset.publish
    if isinstance(generator, OpenAiConfig) and not read_secret(generator.api_key_env):
        raise ValueError(
            f"generator.api_key_env: {generator.api_key_env} is not set in the environment; export it, "
            f"as any word for an endpoint without keys"
        )
    if publish.repo and not read_secret(publish.token_env):
        raise ValueError(
            f"dataset.publish.token_env: {publish.token_env} is not set in the environment, and "
            f"dataset.publish.repo {publish.repo!r} needs it; export it, or leave the repo out"
        )


def _check_local_cpus(config: Config) -> None:
    """Actors hold their CPUs for good: a Ray of our own with too few would wait forever."""
    if ray_address() is not None:
        return
    pipeline, retrieval = config.pipeline, config.retrieval
    # One is left for reading and writing.
    agents = (
        pipeline.min_actors * pipeline.cpus_per_actor
        + retrieval.num_retrievers * retrieval.cpus_per_retriever
    )
    needed = math.ceil(1 + max(agents, retrieval.min_embed_actors * retrieval.cpus_per_embed_actor))
    num_cpus = config.ray.num_cpus or os.cpu_count() or 1
    if num_cpus < needed:
        whose = "" if config.ray.num_cpus else " (this machine's)"
        raise ValueError(
            f"ray.num_cpus: {num_cpus}{whose} is too few for the actors of `pipeline` and `retrieval` "
            f"and one to read and write; at least {needed}"
        )


def _check_local_gpus(gpus: dict[str, float]) -> None:
    """A Ray of our own on a machine without a GPU would wait for one forever."""
    if ray_address() is not None or _has_gpu():
        return
    for field, num_gpus in gpus.items():
        if num_gpus:
            raise ValueError(
                f"{field}: {num_gpus:g} is asked for, and this machine has no GPU; give 0, or submit the job "
                f"to a cluster with --address http://HEAD:8265"
            )


def check_local_labels(labels: dict[str, dict[str, str]]) -> None:
    """A Ray of our own has no labelled node: what asks for one would wait forever.

    Args:
        labels: Setting → the labels that it asks for.

    Raises:
        ValueError: one asks for any.
    """
    if ray_address() is not None:
        return
    for field, wanted in labels.items():
        if wanted:
            raise ValueError(
                f"{field}: {wanted} is asked for, and a Ray that this job starts by itself has no labels; give {{}}, "
                f"or submit the job to a cluster with --address http://HEAD:8265"
            )


def _has_gpu() -> bool:
    return any(True for pattern in GPU_DEVICES for _ in Path("/dev").glob(pattern))


def _check_generator(config: Config) -> None:
    generator = config.generator
    files = find_model(_tokenizer_field(config), config.generator_tokenizer, generator.revision)
    _check_chats(_tokenizer_field(config), config.generator_tokenizer, files, PROMPT_ROLES)
    if not isinstance(generator, VllmConfig) or "hf_overrides" in generator.engine_args:
        return
    if files.max_tokens is not None and generator.max_model_tokens > files.max_tokens:
        raise ValueError(
            f"generator.max_model_tokens: {generator.max_model_tokens} is more than {generator.model} reads; "
            f"at most {files.max_tokens}"
        )


def _check_chats(field: str, model: str, files: ModelFiles, roles: tuple[str, ...]) -> None:
    if files.has_chat_template is False:
        raise ValueError(f"{field}: {model!r} has no chat template; give an instruct model")
    if (reason := files.refusal_of(roles)) is not None:
        raise ValueError(
            f"{field}: the chat template of {model!r} takes no {', '.join(roles)} chat ({reason}); "
            f"give a model that does"
        )


def _check_embedder(config: Config) -> None:
    retrieval = config.retrieval
    files = find_model("retrieval.model", retrieval.model, retrieval.revision)
    if files.max_tokens is not None and retrieval.embedding_tokens > files.max_tokens:
        raise ValueError(
            f"retrieval.embedding_tokens: {retrieval.embedding_tokens} is more than {retrieval.model} reads; "
            f"at most {files.max_tokens}"
        )
    check_index_factory(retrieval.index_factory, files.dim)


def check_index_factory(factory: str, dim: int | None) -> None:
    """Whether FAISS makes an index of this description.

    Args:
        factory: FAISS factory string.
        dim: Size of the vectors, if known.

    Raises:
        ValueError: it does not.
    """
    import faiss

    for size in (dim,) if dim else USUAL_DIMS:
        try:
            faiss.index_factory(size, factory, faiss.METRIC_INNER_PRODUCT)
        except RuntimeError:
            continue
        return
    vectors = f"vectors of {dim} numbers" if dim else "vectors of any usual size"
    raise ValueError(
        f"retrieval.index_factory: FAISS makes no {factory!r} for {vectors}; for example Flat, "
        f"or IVF4096,PQ64 where 64 divides the size"
    )


def _check_corpus_fills_targets(config: Config) -> None:
    from app.corpus.size import holds_at_least, measure_corpus
    from app.corpus.streams import StorageError
    from app.tokens import Tokenizer

    if not config.dataset.num_long_input_seeds:
        return
    files = list_files(config.corpus.sources, excluded=Folder(config.run_dir))
    longest = max(length.max_tokens for length in config.dataset.target_lengths)
    if holds_at_least(files, longest):
        return
    # The lengths are counted in the trained model's tokens.
    tokenizer = Tokenizer(
        config.tokenizer_model, None if config.dataset.tokenizer else config.generator.revision
    )
    try:
        size = measure_corpus(files, tokenizer, config.corpus.max_document_bytes)
    except StorageError as error:
        named = [file for file in files if file.name in str(error)]
        file = max(named or files, key=lambda file: len(file.name))
        raise _unreadable(file, error) from error
    if size.surely_below(longest):
        _refuse_targets_above(config, size.num_tokens)


def _tokenizer_field(config: Config) -> str:
    return "generator.tokenizer" if isinstance(config.generator, OpenAiConfig) else "generator.model"
