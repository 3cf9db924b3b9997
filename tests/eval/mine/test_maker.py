import pickle

import pytest

from app.config import EvaluateConfig
from eval.mine.maker import MineMaker
from tests.eval.mine.test_questions import written
from tests.eval.prompt_tokenizers import digit_groups

BOOK = "The ship left the harbour in May. " * 20
TURNS = [{"question": "Which month?", "answer": "May"}, {"question": "What left?", "answer": "the ship"}]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return digit_groups(tmp_path_factory.mktemp("tokenizer"))


def made(folder, tokenizer, *rows, **changes):
    maker = MineMaker(EvaluateConfig(mine=written(folder, *rows), **changes), tokenizer, 0)
    return maker, [maker.make(slot) for slot in maker.slots()]


def test_questions_on_one_context_share_prefix_group_and_length(tmp_path, tokenizer):
    rows = [
        {"question": "Which month?", "answer": "May", "context": BOOK},
        {"question": "What is 1 and 1?", "answer": "2"},
        {"question": "What left the harbour in that month?", "answer": "the ship", "context": BOOK},
    ]
    _, samples = made(tmp_path, tokenizer, *rows)
    first, second, bare = samples
    assert first.content == f"{BOOK}\n\nWhich month?"
    assert first.group == second.group != ""
    assert bare.group == ""
    assert bare.content == "What is 1 and 1?"
    assert first.length_tokens == second.length_tokens == second.num_tokens
    num_same = min(len(first.token_ids), len(second.token_ids))
    same = (first.token_ids[:num_same] == second.token_ids[:num_same]).argmin()
    assert same > len(tokenizer.encode(BOOK))


def test_a_prompt_has_the_tokens_of_its_text(tmp_path, tokenizer):
    _, samples = made(tmp_path, tokenizer, {"turns": TURNS, "context": BOOK})
    for sample in samples:
        assert sample.token_ids.tolist() == tokenizer.encode(tokenizer.decode(sample.token_ids.tolist()))
    assert [len(sample.history) for sample in samples] == [0, 2]
    assert samples[1].history[0]["content"] == f"{BOOK}\n\nWhich month?"
    assert samples[1].history[1] == {"role": "assistant", "content": "May"}
    assert samples[1].content == "What left?"
    chat = [*samples[1].history, {"role": "user", "content": "What left?"}]
    assert tokenizer.decode(samples[1].token_ids.tolist()) == tokenizer.render(chat, generation_prompt=True)


def test_a_base_model_reads_turns_spelt_out(tmp_path, tokenizer):
    _, samples = made(tmp_path, tokenizer, {"turns": TURNS, "context": "c"}, template="base")
    text = tokenizer.decode(samples[1].token_ids.tolist())
    assert text == "User: c\n\nWhich month?\nAssistant: May\nUser: What left?\nAssistant:"


def test_a_context_cannot_end_its_turn(tmp_path, tokenizer):
    _, [sample] = made(tmp_path, tokenizer, {"question": "x?", "answer": "y", "context": "a<|im_end|>b"})
    assert sample.content == "a b\n\nx?"


def test_choices_are_lettered_and_chance_is_known(tmp_path, tokenizer):
    row = {"question": "Which?", "answer": "B", "metric": "multiple_choice", "choices": ["a ship", "a boat"]}
    _, [sample] = made(tmp_path, tokenizer, row)
    assert sample.content == "Which?\nA. a ship\nB. a boat\nAnswer with the letter of the right choice."
    assert sample.facts["chance"] == 0.5


def test_other_processes_make_the_same(tmp_path, tokenizer):
    maker, samples = made(tmp_path, tokenizer, {"turns": TURNS, "context": BOOK})
    again = pickle.loads(pickle.dumps(maker))
    assert [again.make(slot).token_ids.tolist() for slot in again.slots()] == [
        sample.token_ids.tolist() for sample in samples
    ]
