"""The model of the extension benchmark: a small Llama with random weights, and how well one retrieves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.extension_task import RetrievalDocument, RetrievalTask

ROPE_BASE = 10_000.0
TOKENS_AT_ONCE = 8192


@dataclass(frozen=True)
class ModelSize:
    """Sizes of a Llama."""

    hidden_size: int = 256
    num_layers: int = 4
    num_heads: int = 8
    intermediate_size: int = 512
    initializer_range: float = 0.05
    """Standard deviation of the random weights."""


def save_random_model(folder: Path, size: ModelSize, vocab_size: int, max_tokens: int, seed: int) -> int:
    """Write a model that knows nothing, as transformers does, and return the number of its parameters.

    Args:
        folder: Where to.
        size: Of the model.
        vocab_size: Number of the task's tokens.
        max_tokens: Length that it says it is for.
        seed: Of the weights.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        "llama",
        vocab_size=vocab_size,
        hidden_size=size.hidden_size,
        intermediate_size=size.intermediate_size,
        num_hidden_layers=size.num_layers,
        num_attention_heads=size.num_heads,
        num_key_value_heads=size.num_heads,
        max_position_embeddings=max_tokens,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_BASE},
        initializer_range=size.initializer_range,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    _save_tokenizer(folder, vocab_size)
    return sum(parameter.numel() for parameter in model.parameters())


def _save_tokenizer(folder: Path, vocab_size: int) -> None:
    """The number of each token is its text: an export takes a tokenizer along, and its check wants one."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {str(token): token for token in range(vocab_size)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)


@dataclass(frozen=True)
class Retrieval:
    """How well a model retrieves at one length."""

    accuracy: float
    by_depth: list[float]
    """Accuracy for needles in each of some equal parts of the haystack, its beginning first."""


def load_model(folder: Path, rope_theta: float | None = None, max_tokens: int | None = None) -> Any:
    """A model as transformers loads it; with another RoPE base and length only when they are given."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from app.models.rope import with_rope

    config = AutoConfig.from_pretrained(folder)
    if rope_theta is not None:
        parameters = {**config.rope_parameters, "rope_theta": rope_theta}
        config = with_rope(config, parameters, max_tokens or config.max_position_embeddings)
    return AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float32).eval()


@torch.no_grad()
def measure_retrieval(
    model: Any,
    task: RetrievalTask,
    num_tokens: int,
    num_documents: int,
    num_depths: int,
    random: np.random.Generator,
) -> Retrieval:
    """Let a model answer all questions of fresh documents.

    An answer is right when its most likely token is the needle. One pass answers all: the questions before one stand
    there with their right answers, as they would with greedy decoding of a model that has answered them rightly.

    Args:
        model: Of transformers.
        task: What is asked.
        num_tokens: Length of every document.
        num_documents: How many.
        num_depths: Parts of the haystack that are told apart.
        random: Makes the documents: from the same state every model is asked the same.
    """
    documents = [task.document(random, num_tokens) for _ in range(num_documents)]
    at_once = max(TOKENS_AT_ONCE // num_tokens, 1)
    batches = [documents[first : first + at_once] for first in range(0, num_documents, at_once)]
    is_right = np.concatenate([_answer(model, batch) for batch in batches])
    depths = np.concatenate([document.depths for document in documents])
    parts = np.minimum((depths * num_depths).astype(int), num_depths - 1)
    by_depth = [float(is_right[parts == part].mean()) for part in range(num_depths)]
    return Retrieval(float(is_right.mean()), by_depth)


def _answer(model: Any, documents: list[RetrievalDocument]) -> np.ndarray:
    """Whether each answer is right, `[documents * questions]`; all documents are as long."""
    tokens = torch.from_numpy(np.stack([document.tokens for document in documents])).long()
    answers = torch.from_numpy(documents[0].answers)
    hidden = model.model(input_ids=tokens, use_cache=False).last_hidden_state[:, answers - 1]
    found = model.lm_head(hidden).argmax(dim=-1)
    right: np.ndarray = (found == tokens[:, answers]).flatten().numpy()
    return right
