import random

import pytest

from eval.recall.chains import NUM_CHAINS, draw_chain
from eval.recall.facts import (
    accepted,
    draw_other_answer,
    facts_not_in,
    first_mention,
    load_facts,
    normalize,
)
from eval.recall.prose import bundled_prose


def words(names):
    return {word for name in names for word in normalize(name).split()}


def test_the_table_holds_whole_and_different_facts():
    facts = load_facts()
    assert len(facts) >= 100
    assert len({fact.item for fact in facts}) == len(facts)
    for fact in facts:
        assert "{" not in fact.question
        assert fact.statement.count("{answer}") == 1
        assert fact.state(fact.answer)[0].isupper() or fact.state(fact.answer)[0].isdigit()
        assert not words(accepted(fact.kind, fact.answer)) & words([fact.question]), "gives its answer away"


def test_aliases_belong_to_answers():
    facts = load_facts()
    named = {answer for fact in facts for answer in accepted(fact.kind, fact.answer)}
    assert {"Austen", "Peking", "da Vinci", "kroner", "Farsi"} <= named


def test_another_answer_shares_no_word_with_the_right_one():
    for fact in load_facts():
        for seed in range(20):
            other = draw_other_answer(fact, random.Random(seed))
            assert not words(accepted(fact.kind, other)) & words(accepted(fact.kind, fact.answer))
            assert not words([other]) & words([fact.question])


def test_other_answers_vary():
    fact = load_facts()[0]
    assert len({draw_other_answer(fact, random.Random(seed)) for seed in range(50)}) > 10


@pytest.mark.parametrize(
    ("text", "is_stated"),
    [
        ("From PARIS, the capital of France, he wrote.", True),
        ("France is large. " + "It has many rivers and hills. " * 20 + "Paris is a city.", False),
        ("He sailed to France and saw comparisons.", False),
    ],
)
def test_a_fact_that_the_text_speaks_of_is_left_out(text, is_stated):
    left = {fact.item for fact in facts_not_in(text)}
    assert ("capital: France" not in left) == is_stated
    assert "capital: Japan" in left


def test_the_bundled_prose_leaves_most_facts():
    text = bundled_prose()
    assert len(text) > 2_000_000
    assert len(facts_not_in(text)) >= 90


@pytest.mark.parametrize(
    ("reply", "names", "expected"),
    [
        ("It is Bogotá!", ["Bogota"], True),
        ("BRONTE", ["Brontë"], True),
        ("Comparison", ["Paris"], False),
        ("Leonardo da\nVinci", ["da Vinci"], True),
        ("", ["Paris"], False),
    ],
)
def test_mentions_are_whole_words_without_case_and_accents(reply, names, expected):
    assert (first_mention(normalize(reply), names) is not None) == expected


def follow(question, statements):
    """The province, found by nothing but the sentences."""
    person = question.removeprefix("In which province does ").removesuffix(" live?")
    (town,) = [
        s.removesuffix(".").split(" town of ")[1] for s in statements if s.startswith(f"{person} lives")
    ]
    (province,) = [
        s.removesuffix(".").split("province of ")[1] for s in statements if f"town of {town} lies" in s
    ]
    return province


def test_both_wirings_lead_to_their_answers():
    for seed in range(100):
        chain = draw_chain(random.Random(seed))
        assert follow(chain.question, chain.statements) == chain.answer
        assert follow(chain.question, chain.rewired_statements) == chain.rewired_answer
        assert chain.answer != chain.rewired_answer


def test_wirings_name_the_same_in_the_same_places():
    for seed in range(100):
        chain = draw_chain(random.Random(seed))
        first, second = chain.statements, chain.rewired_statements
        assert len(first) == len(second) == 2 * NUM_CHAINS
        assert sorted(" ".join(first).split()) == sorted(" ".join(second).split())
        assert [s.split()[0:4] for s in first] == [s.split()[0:4] for s in second]
        # One hop of every chain is wired otherwise.
        assert sum(a != b for a, b in zip(first, second, strict=True)) == NUM_CHAINS


def test_either_hop_is_rewired():
    def moved(chain):
        return {
            "lives" in a.split()
            for a, b in zip(chain.statements, chain.rewired_statements, strict=True)
            if a != b
        }

    assert {frozenset(moved(draw_chain(random.Random(seed)))) for seed in range(30)} == {
        frozenset([True]),
        frozenset([False]),
    }
