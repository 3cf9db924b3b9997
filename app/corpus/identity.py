"""What decides a corpus, beside the files it is made of."""

from typing import Any

from app.config import Config, identity


def identity_of_corpus(config: Config) -> dict[str, Any]:
    """All settings that decide what documents and passages are, as JSON values."""
    return {
        "corpus": identity(config.corpus),
        "tokenizer": config.generator_tokenizer,
        "tokenizer_revision": config.generator.revision,
    }
