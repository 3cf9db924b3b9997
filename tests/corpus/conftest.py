import pytest
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from app.tokens import Tokenizer

TRAINING_TEXT = [
    "The ship sailed north before the wind, and the crew kept watch by turns through the night.",
    "A document is cut into passages; each passage ends where a sentence ends. Nothing is lost!",
    "def count(text: str) -> int:\n    return len(text.split())\n",
]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory) -> Tokenizer:
    """The real class over a tiny byte-level vocabulary: most words take several tokens, an emoji takes four."""
    fast = FastTokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    fast.train_from_iterator(TRAINING_TEXT, trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet))
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(tokenizer_object=fast).save_pretrained(folder)
    return Tokenizer(str(folder))
