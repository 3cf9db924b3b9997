"""Assembly: exact lengths with any tokenizer and any text, evidence kept whole and spread over all depths."""

import json
import random
from collections import Counter
from dataclasses import replace
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as RustTokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from app.config import cache_dir
from app.dataset.assembly import assemble
from app.dataset.fitting import find_cuts, find_elision
from app.dataset.layout import OMISSION, SEPARATOR, header
from app.schema import ContextDocument, Draft, Example, Passage, Reject, Seed, passage_id_of
from app.tokens import Tokenizer

TURN = "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
CHATML = f"{{% for message in messages %}}{TURN}{{% endfor %}}"
TRIMMING = CHATML.replace("message['content']", "message['content'] | trim")
CORPUS = [
    "The river rose in the night, and by morning the lower fields were under water. Nobody had seen it coming!",
    "def count(items): return sum(1 for item in items)  # naïve, but fine — «честно»\n\n---\n\nDocument 1: ...",
    "Straße, café, 東京, Москва; 3.14159 and 1,000,000 are numbers. [...] The end. The end. The end.",
]
WORDS = " ".join(CORPUS).split()


def save(backend, folder, template=CHATML):
    special = ["<|im_start|>", "<|im_end|>"]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, additional_special_tokens=special)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return Tokenizer(str(folder))


def make_byte_level(folder, template=CHATML):
    """As in Llama 3, Qwen and SmolLM2, NFC normalization included."""
    backend = RustTokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    )
    return save(backend, folder, template)


def make_byte_fallback(folder):
    """As in Llama 2: no pre-tokenizer, spaces are letters, unknown characters fall apart into bytes."""
    spaces = normalizers.Replace(" ", "▁")
    trained = RustTokenizer(models.BPE())
    trained.normalizer = spaces
    trained.train_from_iterator(CORPUS[:1], trainers.BpeTrainer(vocab_size=150, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    tokens = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *model["vocab"]]
    backend = RustTokenizer(
        models.BPE(
            vocab={token: index for index, token in enumerate(tokens)},
            merges=[tuple(merge) for merge in model["merges"]],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaces])
    return save(backend, folder)


@pytest.fixture(scope="session")
def byte_level(tmp_path_factory):
    return make_byte_level(tmp_path_factory.mktemp("byte_level"))


@pytest.fixture(scope="session")
def tokenizer(request, tmp_path_factory):
    if request.param == "smollm2":
        if not (cache_dir() / "models" / "smollm2-135m-instruct").exists():
            pytest.skip("the bundled model is not in the cache")
        return Tokenizer("bundled:smollm2-135m-instruct")
    if request.param == "trimming template":
        return make_byte_level(tmp_path_factory.mktemp("trimming"), TRIMMING)
    make = make_byte_level if request.param == "byte level" else make_byte_fallback
    return make(tmp_path_factory.mktemp("tokenizer"))


def make_seed(target_tokens, index=0, kind="long_input"):
    return Seed(
        seed_id=f"{kind}-{index}",
        seed_index=index,
        kind=kind,
        task="compare" if kind == "long_input" else "write",
        document_id="source",
        passage_id="",
        text="",
        target_tokens=target_tokens,
        random_seed=1000 + index,
    )


def make_document(name, texts, tokenizer, title="A title"):
    passages, position = [], 0
    for index, text in enumerate(texts):
        passage_id = passage_id_of(name, index)
        passages.append(
            Passage(passage_id, name, position, position + len(text), tokenizer.count(text), text)
        )
        position += len(text)
    return ContextDocument(name, title, passages, 1.0)


def prose(num_words, seed):
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(num_words)) + "\n"


def make_draft(
    tokenizer, target_tokens, num_documents=10, evidence=("d3:00001",), index=0, words=40, passages=3
):
    documents = [
        make_document(f"d{i}", [prose(words, 100 * i + j) for j in range(passages)], tokenizer)
        for i in range(num_documents)
    ]
    return Draft(
        make_seed(target_tokens, index), "Which river rose?", "The lower one rose.", documents, list(evidence)
    )


def texts_of(draft, ids):
    return [p.text for document in draft.documents for p in document.passages if p.passage_id in ids]


def check_exact(draft, tokenizer):
    example = assemble(draft, tokenizer, "generator", "v1")
    assert isinstance(example, Example), example
    assert example.num_tokens == draft.seed.target_tokens
    assert tokenizer.count_chat(example.messages) == draft.seed.target_tokens
    content = example.messages[0]["content"]
    assert content.endswith(SEPARATOR + draft.instruction)
    assert example.messages[1] == {"role": "assistant", "content": draft.answer}
    assert sorted(item.passage_id for item in example.evidence) == sorted(draft.evidence_ids)
    for text in texts_of(draft, draft.evidence_ids):
        assert text in content
    for item in example.evidence:
        assert [content[item.start_char : item.end_char]] == texts_of(draft, [item.passage_id])
    return example


unicode_texts = st.one_of(
    st.text(min_size=1, max_size=60),
    st.text(alphabet="a .\n-x", min_size=1, max_size=80),
    st.text(alphabet="e\u0301\u0308漢👩‍👩‍👧 \r\n", min_size=1, max_size=40),
    st.integers(0, 10**6).map(lambda seed: prose(30, seed)),
)


@pytest.mark.parametrize(
    "tokenizer", ["byte level", "byte fallback", "trimming template", "smollm2"], indirect=True
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_target_is_met_exactly_with_any_text(tokenizer, data):
    parts = data.draw(st.lists(st.lists(unicode_texts, min_size=1, max_size=5), min_size=1, max_size=6))
    documents = [
        make_document(f"d{i}", texts, tokenizer, data.draw(st.text(max_size=12)))
        for i, texts in enumerate(parts)
    ]
    all_ids = [passage.passage_id for document in documents for passage in document.passages]
    evidence = data.draw(st.lists(st.sampled_from(all_ids), min_size=1, max_size=3, unique=True))
    instruction = data.draw(st.text(min_size=1, max_size=20).map(str.strip).filter(bool))
    answer = data.draw(st.text(max_size=20))
    draft = Draft(make_seed(10**6, data.draw(st.integers(0, 99))), instruction, answer, documents, evidence)
    too_long = assemble(draft, tokenizer, "generator", "v1")
    assert isinstance(too_long, Reject)
    assert too_long.reason == "documents do not fill target"
    most = int(too_long.detail.split()[0])
    needed = [document for document in documents if any(p.passage_id in evidence for p in document.passages)]
    least = (
        tokenizer.count_chat(
            [{"role": "user", "content": instruction}, {"role": "assistant", "content": answer}]
        )
        + sum(tokenizer.count(SEPARATOR + header(99, document)) for document in needed)
        + sum(tokenizer.count(text) + tokenizer.count(OMISSION) for text in texts_of(draft, evidence))
    )
    if least + 10 > most:
        return
    target = data.draw(st.integers(least + 10, most))
    check_exact(
        Draft(make_seed(target, draft.seed.seed_index), instruction, answer, documents, evidence), tokenizer
    )


@pytest.mark.parametrize("tokenizer", ["smollm2"], indirect=True)
def test_where_the_cut_document_ends_in_no_elision_another_one_does(tokenizer):
    texts = {
        "": [":00\x80Àఀ", "00", "0000000", prose(30, 134), prose(30, 1683)],
        "0": [prose(30, 3349), "00\U00040000", "00000", prose(30, 134), "\x80"],
        "00\U00040000": ["000ఀఀఀఀ\n0"],
    }
    documents = [make_document(f"d{i}", texts[title], tokenizer, title) for i, title in enumerate(texts)]
    instruction, answer = ":000000000000\x80\x80\x80¤\U00040000", "000000\x80¶À÷\u0e80𐀀"
    for target in range(400, 423):
        check_exact(Draft(make_seed(target), instruction, answer, documents, ["d0:00000"]), tokenizer)


@pytest.mark.parametrize("num_documents", [2, 10])
def test_all_targets_in_a_row_are_met(byte_level, num_documents):
    for target in range(600, 640):
        check_exact(make_draft(byte_level, target, num_documents, ["d1:00001"], words=150), byte_level)


def test_evidence_depths_cover_all_deciles_evenly(byte_level):
    draft = make_draft(byte_level, 1200, evidence=["d0:00000"], words=25, passages=2)
    deciles = Counter()
    for index in range(200):
        seeded = Draft(
            make_seed(1200, index), draft.instruction, draft.answer, draft.documents, draft.evidence_ids
        )
        deciles[int(check_exact(seeded, byte_level).evidence[0].depth * 10)] += 1
    chi_square = sum((deciles[decile] - 20) ** 2 / 20 for decile in range(10))
    assert chi_square < 17, deciles  # 9 degrees of freedom: random draws stay below this 95 times of 100


def test_several_evidence_documents_stand_in_different_strata(byte_level):
    evidence = ["d0:00000", "d1:00000", "d2:00000"]
    first = Counter()
    for index in range(30):
        example = check_exact(
            make_draft(byte_level, 1400, evidence=evidence, index=index, words=25), byte_level
        )
        depths = [item.depth for item in example.evidence]
        assert depths == sorted(depths)
        assert all(abs(depth - (stratum + 0.5) / 3) < 0.3 for stratum, depth in enumerate(depths))
        first[example.evidence[0].passage_id] += 1
    assert set(first) == set(evidence), "the best match always stands first"


def test_depth_is_where_the_passage_starts(byte_level):
    draft = make_draft(byte_level, 1500, evidence=["d3:00001", "d5:00002"])
    example = check_exact(draft, byte_level)
    rendered = byte_level.render(example.messages)
    for item in example.evidence:
        before = byte_level.count(rendered[: rendered.index(texts_of(draft, [item.passage_id])[0])])
        assert item.depth == pytest.approx(before / example.num_tokens, abs=2 / example.num_tokens)


def test_order_is_shuffled_by_the_seeds_own_state(byte_level):
    orders = [check_exact(make_draft(byte_level, 1500, index=i), byte_level).document_ids for i in (1, 1, 2)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert orders[0] != sorted(orders[0])


def test_lowest_ranked_distractors_go_first(byte_level):
    example = check_exact(make_draft(byte_level, 1200, evidence=["d9:00001"]), byte_level)
    kept = sorted(int(name[1:]) for name in example.document_ids)
    assert 2 < len(kept) < 10
    assert kept == [*range(len(kept) - 1), 9]


@pytest.mark.parametrize("index", range(8))
def test_evidence_documents_are_cut_from_the_outside(byte_level, index):
    document = make_document("d0", [prose(20, j) for j in range(40)], byte_level)
    evidence = ["d0:00012", "d0:00025"]
    draft = Draft(make_seed(1000, index), "What happened?", "It rose.", [document], evidence)
    content = check_exact(draft, byte_level).messages[0]["content"]
    kept = [place for place, passage in enumerate(document.passages) if passage.text in content]
    around = [sorted(place for place in kept if (place <= 18) == first) for first in (True, False)]
    for places, wanted in zip(around, (12, 25), strict=True):
        assert wanted in places
        assert places == list(range(places[0], places[-1] + 1))
    assert content.count(OMISSION) == 1


def test_a_single_document_is_cut_so_that_its_evidence_stands_at_all_depths(byte_level):
    document = make_document("d0", [prose(20, j) for j in range(40)], byte_level)
    depths = []
    for index in range(20):
        draft = Draft(make_seed(800, index), "What happened?", "It rose.", [document], ["d0:00020"])
        depths.append(check_exact(draft, byte_level).evidence[0].depth)
    assert min(depths) < 0.15, depths
    assert max(depths) > 0.7, depths


@pytest.mark.parametrize("target", range(420, 1000, 58))
def test_stretches_of_one_document_are_told_apart(byte_level, target):
    whole = make_document("d0", [prose(20, j) for j in range(20)], byte_level)
    stretches = ([2, 3], [9], [15, 16, 17])
    document = replace(whole, passages=[whole.passages[index] for part in stretches for index in part])
    others = [make_document(f"d{i}", [prose(120, i)], byte_level) for i in range(1, 4)]
    for evidence in ("d0:00009", "d1:00000"):
        draft = Draft(make_seed(target), "What happened?", "It rose.", [document, *others], [evidence])
        content = check_exact(draft, byte_level).messages[0]["content"]
        body = content.partition("d0")[2] if "d0" in content else content
        for part in stretches:
            kept = [whole.passages[index].text for index in part if whole.passages[index].text in body]
            assert not kept or "".join(kept) in content
        assert "".join(whole.passages[index].text for index in (3, 9)) not in content
        assert "".join(whole.passages[index].text for index in (9, 15)) not in content


def test_evidence_that_does_not_fit_is_rejected(byte_level):
    evidence = [f"d{i}:00000" for i in range(10)]
    reject = assemble(make_draft(byte_level, 400, evidence=evidence), byte_level, "generator", "v1")
    assert isinstance(reject, Reject)
    assert (reject.row_id, reject.step, reject.reason) == (
        "long_input-0",
        "assembly",
        "evidence exceeds target",
    )


@pytest.mark.parametrize("place", ["answer", "title"])
def test_text_that_would_end_a_turn_is_rejected(byte_level, place):
    draft = make_draft(byte_level, 800)
    if place == "answer":
        draft = replace(draft, answer="The lower one. <|im_end|> And so on.")
    else:
        first, *others = draft.documents
        draft = replace(draft, documents=[replace(first, title="One <|im_end|>"), *others])
    reject = assemble(draft, byte_level, "generator", "v1")
    assert isinstance(reject, Reject)
    assert (reject.step, reject.reason, reject.detail) == ("assembly", "control token", "<|im_end|>")


def test_too_few_documents_are_rejected(byte_level):
    reject = assemble(make_draft(byte_level, 10**6), byte_level, "generator", "v1")
    assert isinstance(reject, Reject)
    assert (reject.step, reject.reason) == ("assembly", "documents do not fill target")


def test_a_long_output_is_left_as_it_is(byte_level):
    seed = make_seed(4000, kind="long_output")
    example = assemble(
        Draft(seed, "Write about rivers.", prose(300, 1), [], []), byte_level, "generator", "v1"
    )
    assert isinstance(example, Example)
    assert [message["content"] for message in example.messages] == ["Write about rivers.", prose(300, 1)]
    assert example.num_tokens == byte_level.count_chat(example.messages) != 4000
    assert example.document_ids == ["source"]
    assert example.evidence == []


class CountingTokenizer(Tokenizer):
    """Counts how often a whole chat is tokenized."""

    chats: ClassVar[list[int]] = []

    def offsets(self, text):
        if text.startswith("<|im_start|>"):
            self.chats.append(len(text))
        return super().offsets(text)


def test_whole_chats_are_tokenized_twice(byte_level, monkeypatch):
    monkeypatch.setattr(CountingTokenizer, "chats", [])
    tokenizer = CountingTokenizer(byte_level.model)
    for index in range(20):
        check_exact(make_draft(byte_level, 1100 + 13 * index, index=index), tokenizer)
    assert len(CountingTokenizer.chats) <= 45


def test_cuts_that_count_too_much_are_never_elided():
    counts = [0, 1, 1, 3, 3, 5, 7, 7, 8]
    assert find_cuts(counts.__getitem__, 6, 0, 8, 5) == [5]
    assert find_cuts(counts.__getitem__, 6, 0, 8, 6)[0] == 5
    assert all(counts[cut] < 4 for cut in find_cuts(counts.__getitem__, 6, 0, 8, 4))
    assert find_cuts(counts.__getitem__, 6, 6, 8, 2) == []


def test_elisions_mix_units_when_one_jumps_over_the_count():
    assert find_elision(lambda text: 10 + len(text.split()), 13) == " ... ... ..."

    def count(text):
        return 10 + 3 * text.count("...") + text.count("#")

    elision = find_elision(count, 17)
    assert elision is not None
    assert count(elision) == 17


def test_no_elision_is_made_up():
    assert find_elision(lambda text: 10 + 2 * len(text), 13) is None
    assert find_elision(lambda text: 10, 13) is None
    assert find_elision(lambda text: 10, 10) == ""
