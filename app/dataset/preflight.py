"""Checks before anything starts that a dataset can be made with these settings."""

from app.checks import check_local_gpus, check_local_labels, check_run_dir
from app.config import Config, OpenAiConfig, VllmConfig
from app.corpus.sources import list_files
from app.endpoints.keys import read_api_key
from app.faults import UserError
from app.models.engine_args import check_engine_args
from app.models.files import ModelFiles, find_model
from app.retrieval.preflight import check_index_inputs, tokenizer_field, unreadable
from app.run import DOCUMENTS_DIR
from app.storage import Folder

OTHER_TOKENIZER_FACTOR = 2


PROMPT_ROLES, EXAMPLE_ROLES = ("system", "user", "assistant"), ("user", "assistant")


def check_synthesis(config: Config) -> None:
    """What the dataset needs, its corpus and index included.

    Raises:
        UserError: It cannot be made with these settings.
    """
    _check_secrets(config)
    check_index_inputs(config)
    check_local_gpus(
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


def fillable_tokens(config: Config, corpus: Folder) -> int:
    """Tokens that the documents of a finished corpus can give to one context, in the generator's tokens.

    A document stands there once, with at most `agent.document_tokens`. Counting ends where the longest target is
    filled with any tokenizer.
    """
    documents = corpus / DOCUMENTS_DIR
    enough = OTHER_TOKENIZER_FACTOR * max(length.max_tokens for length in config.dataset.target_lengths)
    num_tokens = 0
    for part in documents.list_names(".parquet"):
        counts = documents.read_table(part, columns=["num_tokens"])["num_tokens"].to_numpy()
        num_tokens += int(counts.clip(max=config.agent.document_tokens).sum())
        if num_tokens >= enough:
            break
    return num_tokens


def check_targets_fit(config: Config, num_corpus_tokens: int) -> None:
    """Refuse target lengths that all documents together cannot fill.

    Args:
        config: The settings; their lengths are in the trained model's tokens.
        num_corpus_tokens: What the documents can give to one context, in the generator's tokens; those of another
            tokenizer may be up to twice as many.

    Raises:
        UserError: Names the first such range.
    """
    is_same = config.tokenizer_model == config.generator_tokenizer
    _refuse_targets_above(config, num_corpus_tokens * (1 if is_same else OTHER_TOKENIZER_FACTOR))


def _refuse_targets_above(config: Config, most_tokens: int) -> None:
    if fault := unfillable_target(config, most_tokens):
        raise UserError(fault)


def unfillable_target(config: Config, most_tokens: int) -> str | None:
    """The first target length above what the documents can give to one context, as a fault with its remedy."""
    if not config.dataset.num_context_seeds:
        return None
    for index, length in enumerate(config.dataset.target_lengths):
        if length.max_tokens > most_tokens:
            return (
                f"dataset.target_lengths.{index}.max_tokens: {length.max_tokens} is beyond the whole corpus, of whose "
                f"documents a context holds at most agent.document_tokens {config.agent.document_tokens} each; at most "
                f"{most_tokens}, or give more documents, or raise agent.document_tokens"
            )
    return None


def _check_secrets(config: Config) -> None:
    generator, publish = config.generator, config.dataset.publish
    if (
        config.dataset.num_generator_seeds
        and isinstance(generator, OpenAiConfig)
        and not read_api_key("generator.api_key_env", generator.api_key_env)
    ):
        raise UserError(
            f"generator.api_key_env: {generator.api_key_env} is not set in the environment; export it, "
            f"as any word for an endpoint without keys"
        )
    judge = config.agent.verification.judge
    if isinstance(judge, OpenAiConfig) and not read_api_key(
        "agent.verification.judge.api_key_env", judge.api_key_env
    ):
        raise UserError(
            f"agent.verification.judge.api_key_env: {judge.api_key_env} is not set in the environment; export it, as "
            f"any word for an endpoint without keys"
        )
    if publish.repo and not read_api_key("dataset.publish.token_env", publish.token_env):
        raise UserError(
            f"dataset.publish.token_env: {publish.token_env} is not set in the environment, and "
            f"dataset.publish.repo {publish.repo!r} needs it; export it, or leave the repo out"
        )


def _check_generator(config: Config) -> None:
    generator = config.generator
    files = find_model(tokenizer_field(config), config.generator_tokenizer, generator.revision)
    _check_chats(tokenizer_field(config), config.generator_tokenizer, files, PROMPT_ROLES)
    if isinstance(generator, VllmConfig):
        check_engine_args("generator.engine_args", generator.engine_args)
    if not isinstance(generator, VllmConfig) or "hf_overrides" in generator.engine_args:
        return
    if files.max_tokens is not None and generator.max_model_tokens > files.max_tokens:
        raise UserError(
            f"generator.max_model_tokens: {generator.max_model_tokens} is more than {generator.model} can read; "
            f"at most {files.max_tokens}"
        )


def _check_chats(field: str, model: str, files: ModelFiles, roles: tuple[str, ...]) -> None:
    if files.has_chat_template is False:
        raise UserError(f"{field}: {model!r} has no chat template; give an instruct model")
    if (reason := files.refusal_of(roles)) is not None:
        raise UserError(
            f"{field}: the chat template of {model!r} does not accept a {', '.join(roles)} chat ({reason}); "
            f"give a model that does"
        )


def _check_corpus_fills_targets(config: Config) -> None:
    from app.corpus.size import SAMPLE_BYTES, holds_at_least, measure_corpus
    from app.corpus.streams import StorageError
    from app.tokens import Tokenizer

    if not config.dataset.num_context_seeds:
        return
    files = list_files(config.corpus.sources, excluded=Folder(config.run_dir))
    longest = max(length.max_tokens for length in config.dataset.target_lengths)
    # A small corpus is counted all the same: its bytes may lie in a few documents that are longer than may be taken.
    if holds_at_least(files, longest) and sum(file.num_bytes for file in files) > SAMPLE_BYTES:
        return
    # The lengths are counted in the trained model's tokens.
    tokenizer = Tokenizer(
        config.tokenizer_model, None if config.dataset.tokenizer else config.generator.revision
    )
    try:
        size = measure_corpus(
            files, tokenizer, config.corpus.max_document_bytes, config.agent.document_tokens
        )
    except StorageError as error:
        raise unreadable(error.file, error) from error
    if size.surely_below(longest):
        _refuse_targets_above(config, size.num_tokens)
