"""Invented statements: unlike the evaluation's needles, unlike each other, unheard of in the documents."""

import random
import re

import numpy as np

from app.config import NiahConfig
from app.corpus.ngrams import hash_words, join_hashes
from app.dataset.structure.statements import FORMS, draw_statements
from app.text.words import split_words
from eval.niah_needles import KEYS

SHARED_WORDS = 5
"""Far stricter than the decontamination's eight to thirteen."""
NEEDLES = [
    *NiahConfig().needles,
    NiahConfig().question,
    NiahConfig().answer_prefix,
    "One of the special magic numbers for {key} is: {value}.",
    "A special magic number is hidden within the following text. Make sure to memorize it.",
    "The best thing to do in San Francisco is eat a sandwich and sit in Dolores Park on a sunny day.",
]


def ngrams(text):
    words = split_words(text)
    return (
        join_hashes(hash_words(words), SHARED_WORDS)
        if len(words) >= SHARED_WORDS
        else np.array([], np.uint64)
    )


def test_no_form_shares_words_in_a_row_with_a_needle():
    needles = np.concatenate([ngrams(needle) for needle in NEEDLES])
    for form in FORMS:
        for text in (form.statement, form.question):
            assert not np.isin(ngrams(text), needles).any(), text
            assert "magic" not in text
    statements = draw_statements(random.Random(1), 200, "")
    keys = {key.lower() for key in KEYS}
    assert not keys & {word.lower() for each in statements for word in re.findall(r"\w+", each.text)}


def test_statement_question_and_reply_belong_together():
    for form in FORMS:
        assert "{name}" in form.statement
        assert "{value}" in form.statement
        assert "{name}" in form.question
        assert "{value}" not in form.question
        assert "{value}" in form.reply
        assert form.statement.endswith(".")
        assert form.statement[:-1].count(". ") == 0, "one sentence"


def test_names_and_values_are_new():
    text = " ".join(each.name for each in draw_statements(random.Random(3), 50, ""))
    statements = draw_statements(random.Random(3), 50, text)
    names = [each.name for each in statements]
    assert len(set(names)) == 50
    assert not [name for name in names if name in text]
    assert len({each.text for each in statements}) == 50


def test_forms_repeat_only_when_all_have_been_used():
    statements = draw_statements(random.Random(4), len(FORMS), "")
    shapes = {each.text.replace(each.name, "N").replace(each.value, "V") for each in statements}
    assert len(shapes) == len(FORMS)
