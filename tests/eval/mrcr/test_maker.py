import re
from itertools import pairwise

import pytest

from app.config import EvaluateConfig, MrcrConfig
from eval.mrcr.maker import MrcrMaker
from eval.mrcr.scores import match_ratio
from tests.eval.prompt_tokenizers import digit_groups

PROSE = " ".join(f"Sentence number {n} tells of day {n * 7} and of nothing else." for n in range(3000))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return digit_groups(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def samples(tokenizer, monkeypatch):
    monkeypatch.setattr("eval.mrcr.maker.bundled_text", lambda: PROSE)
    settings = MrcrConfig(lengths_tokens=[4096], num_needles=[2, 4], num_samples=2, reply_tokens=60)
    maker = MrcrMaker(EvaluateConfig(mrcr=settings), tokenizer, 3)
    return [maker.make(slot) for slot in maker.slots()]


def test_the_asked_turn_is_the_answer_and_its_request_comes_as_often_as_said(samples):
    for sample in samples:
        num_needles = int(sample.task[0])
        asked, prefix = sample.facts["asked"], sample.facts["prefix"]
        subject = sample.content.partition("(1 indexed) ")[2].partition(". Do not")[0]
        turns = list(pairwise(sample.history))[::2]
        needles = [reply["content"] for said, reply in turns if said["content"] == f"write a {subject}"]
        assert len(needles) == len(set(needles)) == num_needles
        assert sample.references == [prefix + needles[asked - 1]]
        assert sample.content.startswith(f"Prepend {prefix} to the {asked}")
        assert match_ratio(sample.references[0], sample.references[0], prefix) == 1.0
        assert 1 / num_needles < sample.facts["chance"] < 1.0
        assert len({said["content"] for said, _ in turns}) > 5


def test_chats_have_the_published_form(samples):
    for sample in samples:
        said, answered = sample.history[::2], sample.history[1::2]
        assert {message["role"] for message in said} == {"user"}
        assert {message["role"] for message in answered} == {"assistant"}
        # Rows of openai/mrcr say "write a social media post about records", with "a" before any kind.
        assert all(re.fullmatch(r"write a [a-z ]+ about [a-z ]+", message["content"]) for message in said)
        assert re.fullmatch(
            r"Prepend [A-Za-z0-9]{10} to the (1st|2nd|3rd|4th) \(1 indexed\) [a-z ]+ about [a-z ]+\. "
            r"Do not include any other text in your response\.",
            sample.content,
        )


def test_prompts_are_full_and_the_templates_own(samples, tokenizer):
    for sample in samples:
        assert 0.95 * 4096 < sample.num_tokens <= 4096
        chat = [*sample.history, {"role": "user", "content": sample.content}]
        text = tokenizer.render(chat, generation_prompt=True)
        assert sample.token_ids.tolist() == tokenizer.encode(text)
        assert len(tokenizer.encode(sample.references[0])) <= sample.max_output_tokens


def test_samples_are_the_same_each_time(samples, tokenizer):
    settings = MrcrConfig(lengths_tokens=[4096], num_needles=[4], num_samples=1, reply_tokens=60)
    maker = MrcrMaker(EvaluateConfig(mrcr=settings), tokenizer, 3)
    again = maker.make(maker.slots()[0])
    [same] = [sample for sample in samples if sample.sample_id == again.sample_id]
    assert again.token_ids.tolist() == same.token_ids.tolist()
