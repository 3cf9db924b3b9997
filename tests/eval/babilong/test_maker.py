import pytest

from app.config import BabilongConfig, EvaluateConfig
from eval.babilong.maker import BabilongMaker
from tests.eval.prompt_tokenizers import digit_groups

PROSE = " ".join(f"Sentence number {n} tells of day {n * 7} and of nothing else." for n in range(400))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return digit_groups(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def maker(tokenizer, tmp_path):
    (tmp_path / "book.txt").write_text(PROSE, "utf-8")
    settings = BabilongConfig(lengths_tokens=[3072, 6144], num_samples=2, haystack=str(tmp_path / "book.txt"))
    return BabilongMaker(EvaluateConfig(babilong=settings), tokenizer, 3)


def test_all_facts_stand_in_their_order_among_the_text(maker):
    for sample in map(maker.make, maker.slots()):
        context = sample.content.partition("<context>")[2]
        place = 0
        for sentence in sample.facts["story"].replace(". ", ".|").split("|"):
            assert (place := context.find(sentence, place)) >= 0
        assert sample.content.endswith(f"</context>\nQuestion: {sample.facts['question']}")
        assert context.count("Sentence number") > 10


def test_prompts_are_full_and_stories_the_same_at_all_lengths(maker, tokenizer):
    samples = [maker.make(slot) for slot in maker.slots()]
    for sample in samples:
        assert 0.96 * sample.length_tokens < sample.num_tokens <= sample.length_tokens
        assert sample.token_ids.tolist() == tokenizer.encode(tokenizer.decode(sample.token_ids.tolist()))
    short, long = samples[:6], samples[6:]
    assert [each.facts["story"] for each in short] == [each.facts["story"] for each in long]


def test_chance_is_that_of_guessing_among_the_places(maker):
    chances = {slot.task: maker.make(slot).facts["chance"] for slot in maker.slots()[:6]}
    assert chances == {"1hop": 1 / 6, "2hop": 1 / 6, "3hop": 1 / 5}
