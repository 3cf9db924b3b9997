import pytest

from app.text.sentences import (
    paragraph_borders,
    sentence_borders,
    split_sentences,
    weaker_border,
    whole_sentences,
)


def cut(text, borders):
    ends = [0, *borders.tolist()]
    assert ends == sorted(set(ends))
    return [text[start:end] for start, end in zip(ends, [*ends[1:], len(text)], strict=True) if start < end]


@pytest.mark.parametrize(
    "sentences",
    [
        ["One is here. ", "Two is there!\n", "Is it three?  ", "Four."],
        ["Dr. Lee met Mr. Smith vs. Prof. Jones on St. Ann. ", "Then Jan. 5 came. "],
        ["It is 3.14 or 1,000.50 dollars. ", "See No. 5, fig. 2 and pp. 7. ", "I said no. ", "He left. "],
        ["J. R. R. Smith left the U.S. Army at 5 p.m. Sunday. ", "Ann A. Lee came. "],
        ["It cost much, e.g. five, approx. six etc. and so on… and on... and more! but less. ", "End. "],
        ["“Why?” he asked. ", "“Go!” ", "She went (far.) ", "He said: ‘Yes.’ ", "No. "],
        ["In 1826. ", "The end came. "],
        ["It was:\n1. First of all.\n", "2. Then this.\n", "End."],
        ["Visit example.com/a.b?c=d!e now. ", "End."],
        ["他来了。", "他走了！」", "为什么？ ", "好。"],
        ["これは「本。」", "です。"],
        ["هل أنت هنا؟ ", "نعم أنا هنا۔ ", "حسنا."],
        ["वह आया। ", "वह गया॥ ", "हाँ।"],
        ["他来了!", "他走了?", "版本3.5好。", "用GPT-4.1吧……好．", "是３．１４。", "完"],
        ["သူလာသည်။", "သူသွားသည်။ ", "ကောင်း"],
        ["គាត់មក។", "គាត់ទៅ៕", "ល្អ"],
        ["ในปี พ.ศ. ๒๕๐๐ แม่น้ำท่วมต่าง ๆ นานา ", "ชาวบ้านใช้ GPU แล้วย้ายออก ", "จบ"],
        ["ລາວມາແລ້ວ ", "ລາວໄປ"],
        ["그는 왔다. ", "그는 갔다."],
        ["Stop… ", "Now go on."],
        ["Wait?! ", "Yes... ", "No."],
        ["A heading\n\n", "its text without a stop\r\n\r\n", "more\u2029", "end"],
    ],
)
def test_sentences(sentences):
    text = "".join(sentences)
    assert cut(text, sentence_borders(text)) == sentences


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("He left. She met Mr. Lee and", "He left."),
        ("He left. She met Mr.", "He left."),
        ("He said “Go!” Then the ship", "He said “Go!”"),
        ("He left.", "He left."),
        ("1. First of all", ""),
        ("船は沈んだ。「もう遅い。」と言った。そして", "船は沈んだ。「もう遅い。」と言った。"),
        (
            "商人修理桥梁，共2车。港口储存铜矿石，共3车。最后一句没有写",
            "商人修理桥梁，共2车。港口储存铜矿石，共3车。",
        ),
        ("แม่น้ำท่วมเมือง ชาวบ้านย้ายออกไปแล้ว พ่อค้า", "แม่น้ำท่วมเมือง ชาวบ้านย้ายออกไปแล้ว"),
        ("សំពៅលិច។ ហើយ", "សំពៅលិច។"),
        ("배가 가라앉았다. 그리고", "배가 가라앉았다."),
    ],
)
def test_text_that_was_cut_ends_with_its_last_whole_sentence(text, whole):
    assert whole_sentences(text) == whole


def test_sentences_and_lines_are_the_text():
    text = "One. Two\n- three\n\n四。五！ six"
    assert split_sentences(text) == ["One. ", "Two\n", "- three\n\n", "四。", "五！ ", "six"]
    assert split_sentences("") == []


def test_paragraphs():
    paragraphs = [
        "One.\nStill one.\n\n",
        "Two.\r\nStill two.\r\n \t\r\n",
        "Three.\r\rfour"[:8],
        "four\f",
        "five",
    ]
    text = "".join(paragraphs)
    assert cut(text, paragraph_borders(text)) == paragraphs


@pytest.mark.parametrize(
    ("text", "border"),
    [
        ("aaaa, bbbb bbb\nccc, ddd eee", "aaaa, bbbb bbb\n"),
        ("aaaa bbbb bb, ddd eee", "aaaa bbbb bb, "),
        ("aaaa bbbb bbb ddd eee", "aaaa bbbb bbb ddd "),
        ("日本語，日本語、日本語日", "日本語，日本語、"),
        ("a bbbbbbbbbbbbbbbbbbbbb", None),
    ],
)
def test_weaker_borders(text, border):
    assert weaker_border(f"x{text}", 1, len(text) + 1) == (1 + len(border) if border else None)


@pytest.mark.parametrize(
    "unit", [".", " ", "\n", "。", '."', "\r\n", ". ", "．", "一!", "ก ", "ก" + " " * 50]
)
def test_long_runs_take_no_time(unit):
    borders = sentence_borders(unit * 300_000)
    assert len(whole_sentences(unit * 300_000)) <= 300_000 * len(unit)
    assert all(0 < border <= 300_000 * len(unit) for border in borders)
