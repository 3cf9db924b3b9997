import pytest
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from app.tokens import Tokenizer

TRAINING_TEXT = [
    "The ship sailed north before the wind, and the crew kept watch by turns through the night.",
    "A document is cut into passages; each passage ends where a sentence ends. Nothing is lost!",
    "def count(text: str) -> int:\n    return len(text.split())\n",
]


def _saved(fast, folder) -> Tokenizer:
    PreTrainedTokenizerFast(tokenizer_object=fast).save_pretrained(folder)
    return Tokenizer(str(folder))


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory) -> Tokenizer:
    """The real class over a tiny byte-level vocabulary: most words take several tokens, an emoji takes four."""
    fast = FastTokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    fast.train_from_iterator(TRAINING_TEXT, trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet))
    return _saved(fast, tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def prefixing_tokenizer(tmp_path_factory) -> Tokenizer:
    """In the manner of SentencePiece: a mark is put before every text, tokens reach over words, bytes stand in."""
    fast = FastTokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    fast.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokens = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=tokens, max_token_length=12)
    fast.train_from_iterator(TRAINING_TEXT, trainer)
    return _saved(fast, tmp_path_factory.mktemp("prefixing"))
