import pytest

from app.corpus.sentences import paragraph_borders, sentence_borders, weaker_border


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
        ["Stop… ", "Now go on."],
        ["Wait?! ", "Yes... ", "No."],
        ["A heading\n\n", "its text without a stop\r\n\r\n", "more\u2029", "end"],
    ],
)
def test_sentences(sentences):
    text = "".join(sentences)
    assert cut(text, sentence_borders(text)) == sentences


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


@pytest.mark.parametrize("unit", [".", " ", "\n", "。", '."', "\r\n", ". "])
def test_long_runs_take_no_time(unit):
    borders = sentence_borders(unit * 300_000)
    assert all(0 < border <= 300_000 * len(unit) for border in borders)
