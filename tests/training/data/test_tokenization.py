"""Which tokens a chat or text becomes, and which of them are learned."""

import numpy as np
import pytest

from app.training.data.tokenization import TARGET_BITS, UntrainableRowError, tokenize_chat, tokenize_text
from tests.training.tiny_tokenizers import DATED, FORGETFUL, STRICT, save_chatml


def chat(*contents):
    return [
        {"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(contents)
    ]


def decode(tokenizer, row, loss):
    """What is learned, stretch by stretch."""
    learned = (row.target_bits & TARGET_BITS[loss]) != 0
    stretches, current = [], []
    for token, is_target in zip(row.tokens, learned, strict=True):
        if is_target:
            current.append(int(token))
        elif current:
            stretches.append(current)
            current = []
    return [tokenizer._hf.decode(ids) for ids in [*stretches, *([current] if current else [])]]


TURNS = chat("What is it?", "It is the wind.\n", " And why? 🌬", "Because 🌊🌊 of the night")


def test_a_chats_tokens_are_those_that_its_length_counts(chatml, llama):
    for tokenizer in (chatml, llama):
        row = tokenize_chat(tokenizer, TURNS)
        assert row.tokens.tolist() == tokenizer.encode(tokenizer.render(TURNS))
        assert len(row.tokens) == tokenizer.count_chat(TURNS)
        assert row.tokens.dtype == np.int32


def test_all_but_the_first_token_are_learned(chatml, llama):
    for tokenizer in (chatml, llama):
        row = tokenize_chat(tokenizer, TURNS)
        assert (row.target_bits & TARGET_BITS["all"]).tolist() == [0] + [1] * (len(row.tokens) - 1)
        assert row.num_targets("all") == len(row.tokens) - 1


def test_responses_are_the_turns_and_what_ends_them(chatml, llama):
    row = tokenize_chat(chatml, TURNS)
    assert decode(chatml, row, "response") == [
        "It is the wind.\n<|im_end|>",
        "Because 🌊🌊 of the night<|im_end|>",
    ]
    assert not row.no_response
    row = tokenize_chat(llama, TURNS)
    assert decode(llama, row, "response") == ["It is the wind.<|eot|>", "Because 🌊🌊 of the night<|eot|>"]


def test_a_chat_without_a_response_can_still_be_learned_whole(chatml):
    row = tokenize_chat(chatml, chat("What is it?"))
    assert (row.num_targets("all") > 0, row.num_targets("response")) == (True, 0)
    assert row.no_response == "no assistant's turn"


def test_a_template_that_rewrites_earlier_turns_is_seen(tmp_path):
    tokenizer = save_chatml(tmp_path, FORGETFUL)
    row = tokenize_chat(tokenizer, TURNS)
    assert row.no_response == "the chat template rewrites earlier turns"
    assert row.detail == "message 2 of 4"
    assert row.num_targets("response") == 0
    assert tokenize_chat(tokenizer, TURNS[:2]).num_targets("response") > 0


@pytest.mark.parametrize(
    ("messages", "reason", "detail"),
    [
        ([{"role": "system", "content": "Be kind."}, *TURNS], "refused by the chat template", "no system"),
        (chat("What<|im_end|> is it?", "Wind."), "control token", r"user says <|im_end|>"),
        ([{"role": "user<|im_end|>", "content": "What?"}, *TURNS[1:]], "control token", r"says <|im_end|>"),
        (chat("What is it?", ""), "empty answer", "message 2 of 2"),
        (chat("What is it?", " \n\t", "And why?", "Because."), "empty answer", "message 2 of 4"),
    ],
)
def test_a_chat_that_cannot_be_trained_on_tells_why(tmp_path, messages, reason, detail):
    with pytest.raises(UntrainableRowError, match=reason) as raised:
        tokenize_chat(save_chatml(tmp_path, STRICT), messages)
    assert detail in raised.value.detail


def test_without_a_template_there_are_no_chats(tmp_path):
    with pytest.raises(UntrainableRowError) as raised:
        tokenize_chat(save_chatml(tmp_path, None), TURNS)
    assert "has no chat template" in raised.value.detail


def test_a_text_stands_between_the_tokens_that_begin_and_end_one(chatml, llama):
    text = "The ship sailed north."
    row = tokenize_text(llama, text)
    assert llama._hf.decode(row.tokens.tolist()) == f"<|begin|>{text}<|end|>"
    assert row.tokens[0] == llama.leading_id
    row = tokenize_text(chatml, text)
    assert chatml.leading_id is None
    assert chatml._hf.decode(row.tokens.tolist()) == f"{text}<|im_end|>"
    assert (row.num_targets("all"), row.num_targets("response")) == (len(row.tokens) - 1, 0)
    assert row.no_response


def test_the_separator_begins_a_text_where_a_token_does(chatml, llama):
    assert llama.separator_id == llama.leading_id
    assert chatml.separator_id == chatml._hf.bos_token_id


def test_a_chat_has_the_same_tokens_on_every_day(tmp_path):
    tokenizer = save_chatml(tmp_path, DATED)
    assert tokenizer.render(TURNS).startswith("26 Jul 2024 00:00:00.000000<|im_start|>user")


def test_copies_of_a_tokenizer_share_a_fingerprint(tmp_path, chatml):
    copy = save_chatml(tmp_path / "copy")
    assert copy.fingerprint == chatml.fingerprint
    copy._hf.save_pretrained(tmp_path / "again")
    assert type(copy)(str(tmp_path / "again")).fingerprint == chatml.fingerprint
    assert save_chatml(tmp_path / "other", FORGETFUL).fingerprint != chatml.fingerprint


def test_a_cut_in_the_tokenizers_own_file_is_not_made(tmp_path, chatml):
    chatml._hf.save_pretrained(tmp_path)
    from tokenizers import Tokenizer as FastTokenizer

    fast = FastTokenizer.from_file(str(tmp_path / "tokenizer.json"))
    fast.enable_truncation(4)
    fast.save(str(tmp_path / "tokenizer.json"))
    copy = type(chatml)(str(tmp_path))
    assert copy.count_chat(TURNS) == chatml.count_chat(TURNS) > 4
    assert copy.fingerprint == chatml.fingerprint
