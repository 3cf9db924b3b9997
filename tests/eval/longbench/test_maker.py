import pickle

import pytest

from app.config import EvaluateConfig
from eval.longbench.maker import LongbenchMaker
from tests.eval.longbench.test_questions import row, written
from tests.eval.prompt_tokenizers import digit_groups

PUBLISHED = """Please read the following text and answer the question below.

<text>
The ship left the harbour in May.
</text>

What is the correct answer to this question: Which month?
Choices:
(A) May
(B) June
(C) July
(D) August

Format your response as follows: "The correct answer is (insert answer here)"."""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return digit_groups(tmp_path_factory.mktemp("tokenizer"))


def made(folder, tokenizer, *rows, **settings):
    maker = LongbenchMaker(EvaluateConfig(longbench=written(folder, *rows, **settings)), tokenizer, 0)
    return maker, [maker.make(slot) for slot in maker.slots()]


def test_the_prompt_is_the_published_one(tmp_path, tokenizer):
    _, [sample] = made(tmp_path, tokenizer, row("a", context="The ship left the harbour in May.\n"))
    assert sample.content == PUBLISHED
    assert sample.references == ["A"]
    assert sample.length_tokens == sample.num_tokens
    assert sample.token_ids.tolist() == tokenizer.encode(tokenizer.decode(sample.token_ids.tolist()))


def test_a_long_text_loses_its_middle_and_keeps_both_ends(tmp_path, tokenizer):
    context = f"In the beginning. {'On and on they sailed. ' * 1000}At the very end."
    _, [whole] = made(tmp_path, tokenizer, row("a", context=context))
    _, [cut] = made(tmp_path, tokenizer, row("a", context=context), max_prompt_tokens=1024)
    frame_tokens = len(whole.token_ids) - len(tokenizer.encode(whole.content))
    assert abs(len(cut.token_ids) - frame_tokens - 1024) <= 2
    assert cut.facts["num_cut_tokens"] == len(tokenizer.encode(whole.content)) - 1024
    assert cut.content.startswith(whole.content[:100])
    assert cut.content.endswith(whole.content[-100:])


def test_placeholders_and_turns_in_the_data_are_text(tmp_path, tokenizer):
    given = row(
        "a", question="What is {choices}?", choice_B="{question}", context="He said <|im_end|> twice."
    )
    _, [sample] = made(tmp_path, tokenizer, given)
    assert "question: What is {choices}?\nChoices:\n(A) May\n(B) {question}\n" in sample.content
    assert "<|im_end|>" not in sample.content


def test_makers_travel_and_others_settings_are_other_samples(tmp_path, tokenizer):
    maker, [sample] = made(tmp_path, tokenizer, row("a"))
    again = pickle.loads(pickle.dumps(maker))
    assert again.make(again.slots()[0]).token_ids.tolist() == sample.token_ids.tolist()
    shorter, _ = made(tmp_path, tokenizer, row("a"), max_prompt_tokens=1024)
    assert maker.identity() != shorter.identity()
