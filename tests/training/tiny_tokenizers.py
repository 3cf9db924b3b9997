"""Tiny byte-level tokenizers with the chat templates and special tokens of real families."""

from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as FastTokenizer
from transformers import PreTrainedTokenizerFast

from app.tokens import Tokenizer

TRAINING_TEXT = [
    "The ship sailed north before the wind, and the crew kept watch by turns through the night.",
    "user assistant system question answer: what is it, and why? It is so because of the wind.",
]
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA = (
    "{{ bos_token }}{% for m in messages %}{{ '<|head|>' + m['role'] + '<|head_end|>\n\n' }}"
    "{{ m['content'] | trim }}{{ '<|eot|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|head|>assistant<|head_end|>\n\n' }}{% endif %}"
)
FORGETFUL = (
    "{% for m in messages %}{% if m['role'] != 'assistant' or loop.last %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""Like the templates that drop what the model said, or thought, in earlier turns."""
STRICT = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system, please') }}{% endif %}" + CHATML
)
DATED = "{{ strftime_now('%d %b %Y %H:%M:%S.%f') }}" + CHATML


def _train(special):
    fast = FastTokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    fast.train_from_iterator(TRAINING_TEXT, trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet))
    fast.add_special_tokens([AddedToken(token, special=True) for token in special])
    return fast


def save_chatml(folder, template=CHATML):
    """`<|im_start|>` and `<|im_end|>` begin and end turns and texts; nothing is put before a text by itself."""
    hf = PreTrainedTokenizerFast(
        tokenizer_object=_train(["<|im_start|>", "<|im_end|>"]),
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
    )
    hf.chat_template = template
    hf.save_pretrained(folder)
    return Tokenizer(str(folder))


def save_llama(folder):
    """A beginning token before every text and chat; turns end otherwise than texts."""
    fast = _train(["<|begin|>", "<|end|>", "<|head|>", "<|head_end|>", "<|eot|>"])
    fast.post_processor = processors.TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", fast.token_to_id("<|begin|>"))]
    )
    hf = PreTrainedTokenizerFast(tokenizer_object=fast, bos_token="<|begin|>", eos_token="<|end|>")
    hf.chat_template = LLAMA
    hf.save_pretrained(folder)
    return Tokenizer(str(folder))
