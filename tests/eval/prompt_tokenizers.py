"""Small tokenizers that split texts in different ways, and RULER's ingredients in small."""

import json

from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as FastTokenizer
from transformers import PreTrainedTokenizerFast

from app.tokens import Tokenizer

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_TEXT = [
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.",
    "One of the special magic numbers for eager-harbor is: 4711. What are all of them in the text?",
    "Some words are hidden within the following text.\n\nQuestion: what is it? Answer: VAR A = VAR B \n",
]
WORDS = [
    "harbor",
    "ship",
    "wind",
    "crew",
    "watch",
    "night",
    "green",
    "yellow",
    "eager",
    "calm",
    "sail",
    "turn",
]


def _save(fast, folder, **special):
    fast.add_special_tokens([AddedToken(token, special=True) for token in ("<|im_start|>", "<|im_end|>")])
    hf = PreTrainedTokenizerFast(tokenizer_object=fast, eos_token="<|im_end|>", **special)
    hf.chat_template = CHATML
    hf.save_pretrained(folder)
    return Tokenizer(str(folder))


def byte_level(folder):
    """GPT-2's kind: bytes, split at words first."""
    fast = FastTokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    fast.train_from_iterator(_TEXT, trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet))
    return _save(fast, folder)


def digit_groups(folder):
    """Llama 3's kind: digits by threes, white space runs together, a beginning token before every text."""
    fast = FastTokenizer(models.BPE())
    pattern = r"(?i:'s|'t|'re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    from tokenizers import Regex

    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    fast.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    fast.train_from_iterator(_TEXT, trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet))
    return _save(fast, folder, bos_token="<|im_start|>")


def metaspace(folder):
    """Llama 2's kind: a blank is put before the text, blanks are letters, and nothing is split off before merging."""
    fast = FastTokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    fast.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    fast.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=560, special_tokens=["<unk>", *fallback], initial_alphabet=["▁"], max_token_length=8
    )
    words = [word for text in _TEXT for word in text.replace("\n", " ").split()]
    fast.train_from_iterator([f" {word}" for word in words], trainer)
    return _save(fast, folder, unk_token="<unk>")


TOKENIZERS = {"byte level": byte_level, "digit groups": digit_groups, "metaspace": metaspace}


def write_ingredients(folder):
    """Few words, essays, articles and paragraphs, in the files' own forms."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adjectivelist.txt").write_text("\n".join(["eager", "calm", "yellow ", "blue-eyed"]) + "\n")
    (folder / "nounlist.txt").write_text(
        "\n".join([*WORDS, *(f"noun{number}" for number in range(200))]) + "\n"
    )
    (folder / "verblist.txt").write_text("sail\nturn\nwatch\n")
    dictionary = {number: f"rare{number}" for number in range(5000)}
    (folder / "english_words.json").write_text(json.dumps(dictionary))
    sentences = [f"The {WORDS[n % 12]} number {n} was {WORDS[n % 7]}.  It is so!\n\n" for n in range(60)]
    (folder / "PaulGrahamEssays.json").write_text(json.dumps({"text": "".join(sentences)}))
    articles = [
        {
            "paragraphs": [
                {
                    "context": f"Article {a}, paragraph {p}: the {WORDS[a]} of {WORDS[p]} has number {a}{p}.",
                    "qas": [
                        {
                            "question": f"Which number has the {WORDS[a]} of {WORDS[p]}?",
                            "answers": [{"text": f"{a}{p}"}, {"text": f"number {a}{p}"}],
                            "is_impossible": False,
                        },
                        {"question": "Why?", "answers": [], "is_impossible": True},
                    ],
                }
                for p in range(5)
            ]
        }
        for a in range(8)
    ]
    (folder / "squad.json").write_text(json.dumps({"data": articles}))
    rows = [
        {
            "question": f"Who met person {n}?",
            "answer": f"person {n + 1}",
            "context": [
                [f"Title {n}-{p}", [f"Sentence one of {n}-{p}.", f" Person {n} met person {n + 1}."]]
                for p in range(4)
            ],
            "supporting_facts": [[f"Title {n}-1", 0], [f"Title {n}-3", 1]],
        }
        for n in range(20)
    ]
    (folder / "hotpotqa.json").write_text(json.dumps(rows))
    return folder
