"""Words of all scripts: spaced ones whole, of the others characters or clusters."""

import pytest

from app.text.words import content_words, count_words, split_words, word_ngrams


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't STOP_it: naïve e\u0301t 3.5", ["don", "t", "stop", "it", "naïve", "e\u0301t", "3", "5"]),
        ("東京 हिन्दी", ["東", "京", "हिन्दी"]),
        ("洪水が来た, twice!", ["洪", "水", "が", "来", "た", "twice"]),
        ("ア・か\u3099ー", ["ア", "か\u3099", "ー"]),
        ("第865年，共6900車。", ["第", "865", "年", "共", "6900", "車"]),
        ("น้ำในเมือง ทำ", ["น้ำ", "ใน", "เมื", "อ", "ง", "ทำ"]),
        ("ບາຍດີ", ["ບາ", "ຍ", "ດີ"]),
        ("ភាសាខ្មែរ។", ["ភា", "សា", "ខ្មែ", "រ"]),
        ("မြန်မာ၊", ["မြ", "န်", "မာ"]),
        ("한국어 단어", ["한국어", "단어"]),
        ("བོད་ཡིག", ["བོད", "ཡིག"]),
        (" …!? 🙂。「」", []),
    ],
)
def test_words(text, words):
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("text", "num_words"),
    [
        ("Don't stop - the well-known 3.5 % …", 5),
        ("商人修理桥梁，共2车。", 9),
        ("GPU 很快", 3),
        ("แม่น้ำ", 2),
        ("한국어 단어.", 2),
        ("", 0),
    ],
)
def test_words_are_counted_as_a_person_counts_them(text, num_words):
    assert count_words(text) == num_words


@pytest.mark.parametrize(
    ("text", "ngrams"),
    [
        ("One two, three", ["one two", "two three"]),
        ("One", ["one"]),
        ("", [""]),
        ("商人修桥，共9车", ["商 人 修 桥", "人 修 桥 共", "修 桥 共 9", "桥 共 9", "共 9 车"]),
        ("แม่น้ำ", ["แม่ น้ำ"]),
    ],
)
def test_two_characters_take_the_place_of_a_word_in_ngrams(text, ngrams):
    assert word_ngrams(text, 2) == ngrams


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The old Port of Nantucket, 1862", {"port", "nantucket", "1862"}),
        ("商人，修桥。路 GPUs", {"商人", "修桥", "gpus"}),
        ("船についてです", {"船に"}),
        ("แม่น้ำ กก", {"แม่น้ำ", "กก"}),
        ("한국어의 말", {"한국", "국어", "어의"}),
    ],
)
def test_words_that_carry_meaning(text, words):
    assert content_words(text) == words


def test_long_runs_take_no_time():
    for unit in ("แ", "ក្", "ก", "。", "a\u0301", "が"):
        assert bool(split_words(unit * 300_000)) == (unit != "。")
