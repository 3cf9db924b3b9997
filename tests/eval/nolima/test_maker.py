import pytest

from app.config import EvaluateConfig, NolimaConfig
from eval.nolima.maker import NolimaMaker
from tests.eval.prompt_tokenizers import digit_groups

PROSE = " ".join(f"Sentence number {n} tells of day {n * 7} and of nothing else." for n in range(400))


@pytest.fixture
def maker(tmp_path):
    (tmp_path / "book.txt").write_text(f"Berlin is large. {PROSE}", "utf-8")
    settings = NolimaConfig(lengths_tokens=[2048], num_samples=2, haystack=str(tmp_path / "book.txt"))
    return NolimaMaker(EvaluateConfig(nolima=settings), digit_groups(tmp_path / "tokenizer"), 3)


def test_needle_and_distractors_stand_in_the_text_and_the_place_in_the_question_alone(maker):
    for sample in map(maker.make, maker.slots()):
        text, _, question = sample.content.rpartition("Question: ")
        assert text.count(sample.facts["needle"]) == 1
        assert sample.references[0] in sample.facts["needle"]
        place = question.partition(" been to ")[2].partition("?")[0]
        assert place not in text
        assert sample.facts["chance"] == 0.25
        assert 0.95 * 2048 < sample.num_tokens <= 2048
