"""Checks before anything starts that corpus and index can be built with these settings."""

from app.checks import check_held_cpus, check_local_gpus, check_local_labels, check_run_dir
from app.config import Config, OpenAiConfig
from app.corpus.decontamination import list_evaluation_files
from app.corpus.sources import SourceFile, list_files
from app.faults import UserError, one_line
from app.models.files import find_model
from app.storage import Folder

USUAL_DIMS = (384, 768, 1024, 4096)
"""Embedding sizes to try an index factory with, when the embedder's own is not known."""


def check_index(config: Config) -> None:
    """What the corpus and the index need.

    Raises:
        UserError: They cannot be made with these settings.
    """
    check_index_inputs(config)
    check_local_gpus({"retrieval.gpus_per_embed_actor": config.retrieval.gpus_per_embed_actor})
    check_run_dir(config)


def check_index_inputs(config: Config) -> None:
    _check_cpus(config)
    check_local_labels({"retrieval.node_labels": config.retrieval.node_labels})
    find_model(tokenizer_field(config), config.generator_tokenizer, config.generator.revision)
    _check_embedder(config)
    _check_files_open(list_files(config.corpus.sources, excluded=Folder(config.run_dir)))
    _check_evaluation_files(config)


def _check_files_open(files: list[SourceFile]) -> None:
    """Read a byte of each source's first file; all of them would take long on an object store."""
    for file in {file.source_index: file for file in reversed(files)}.values():
        try:
            filesystem, path = file.open_filesystem()
            with filesystem.open_input_file(path) as stream:
                stream.read(1)
        except OSError as error:
            raise unreadable(file, error) from error


def unreadable(file: SourceFile, error: Exception) -> UserError:
    return UserError(
        f"corpus.sources.{file.source_index}.path: {file.name!r} can't be read ({one_line(error)}); "
        f"give files that every node may read"
    )


def _check_evaluation_files(config: Config) -> None:
    try:
        list_evaluation_files(config.corpus.decontamination)
    except OSError as error:
        raise UserError(
            f"corpus.decontamination.paths: can't be listed ({one_line(error)}); give other paths"
        ) from error


def _check_cpus(config: Config) -> None:
    pipeline, retrieval = config.pipeline, config.retrieval
    agents = (
        pipeline.min_actors * pipeline.cpus_per_actor
        + retrieval.num_retrievers * retrieval.cpus_per_retriever
    )
    held = max(agents, retrieval.min_embed_actors * retrieval.cpus_per_embed_actor)
    # One is left for reading and writing.
    check_held_cpus(config, 1 + held, "the actors of `pipeline` and `retrieval` and one to read and write")


def _check_embedder(config: Config) -> None:
    retrieval = config.retrieval
    files = find_model("retrieval.model", retrieval.model, retrieval.revision)
    if files.max_tokens is not None and retrieval.embedding_tokens > files.max_tokens:
        raise UserError(
            f"retrieval.embedding_tokens: {retrieval.embedding_tokens} is more than {retrieval.model} can read; "
            f"at most {files.max_tokens}"
        )
    check_index_factory(retrieval.index_factory, files.dim)


def check_index_factory(factory: str, dim: int | None) -> None:
    """Check that FAISS can build an index from this factory string.

    Args:
        factory: FAISS factory string.
        dim: Size of the vectors, if known.

    Raises:
        UserError: It does not.
    """
    import faiss

    for size in (dim,) if dim else USUAL_DIMS:
        try:
            faiss.index_factory(size, factory, faiss.METRIC_INNER_PRODUCT)
        except RuntimeError:
            continue
        return
    vectors = f"vectors of {dim} numbers" if dim else "vectors of any usual size"
    raise UserError(
        f"retrieval.index_factory: FAISS can't build {factory!r} for {vectors}; use for example Flat, "
        f"or IVF4096,PQ64 where 64 divides the size"
    )


def tokenizer_field(config: Config) -> str:
    return "generator.tokenizer" if isinstance(config.generator, OpenAiConfig) else "generator.model"
