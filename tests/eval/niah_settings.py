"""A tokenizer that has words of its own, and settings of the needle test, for its tests."""

from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as FastTokenizer
from transformers import PreTrainedTokenizerFast

from app.config import EvaluateConfig, NiahConfig
from app.tokens import Tokenizer

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def save_tokenizer(folder, text):
    """Byte-level BPE as of Llama 3 and Qwen, with a vocabulary that is learned from the text."""
    fast = FastTokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=2000, initial_alphabet=alphabet, show_progress=False)
    fast.train_from_iterator([text[:100_000]], trainer)
    fast.add_special_tokens([AddedToken(token, special=True) for token in ("<|im_start|>", "<|im_end|>")])
    hf = PreTrainedTokenizerFast(tokenizer_object=fast, bos_token="<|im_start|>", eos_token="<|im_end|>")
    hf.chat_template = CHATML
    hf.save_pretrained(folder)
    return Tokenizer(str(folder))


def make_config(template="chat", failures_count_as_wrong=False, **niah):
    return EvaluateConfig(
        template=template, failures_count_as_wrong=failures_count_as_wrong, niah=NiahConfig(**niah)
    )
