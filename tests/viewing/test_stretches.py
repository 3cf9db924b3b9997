"""Of a context the evidence is shown with what stands around it, and not one character is lost untold."""

import random

import pytest

from app.viewing.stretches import Evidence, cut_context

TEXT = "".join(chr(97 + place % 26) for place in range(1000))


def kinds(parts):
    return [part.kind for part in parts]


def test_the_rest_of_a_short_context_is_folded():
    parts = cut_context(TEXT, [Evidence(400, 450, "p")], around_chars=20, max_chars=1000)
    assert kinds(parts) == ["plain", "folded", "plain", "evidence", "plain", "folded", "plain"]
    assert parts[3].text == TEXT[400:450]
    assert parts[3].name == "p"
    assert "".join(part.text for part in parts) == TEXT


def test_the_rest_of_a_long_context_is_left_out_and_counted():
    parts = cut_context(TEXT, [Evidence(400, 450, "p")], around_chars=20, max_chars=999)
    assert kinds(parts) == ["plain", "left out", "plain", "evidence", "plain", "left out", "plain"]
    assert [part.num_chars for part in parts if part.kind == "left out"] == [360, 510]


def test_a_gap_that_is_hardly_worth_its_own_line_is_shown():
    evidence = [Evidence(100, 110, "p"), Evidence(160, 170, "q")]
    parts = cut_context(TEXT, evidence, around_chars=20, max_chars=999)
    assert kinds(parts)[2:-2] == ["plain", "evidence", "plain", "evidence", "plain"]
    assert parts[4].text == TEXT[110:160]


def test_more_evidence_than_the_page_takes_is_counted_too():
    evidence = [Evidence(start, start + 100, "p") for start in (100, 400, 700, 850)]
    parts = cut_context(TEXT, evidence, around_chars=0, max_chars=150)
    assert kinds(parts) == ["left out", "evidence", "left out", "evidence", "left out"]
    assert (parts[3].num_chars, parts[-1].num_chars, parts[-1].num_evidence) == (50, 550, 2)


def test_what_two_passages_share_is_shown_once():
    parts = cut_context(
        TEXT, [Evidence(110, 160, "later"), Evidence(100, 150, "first")], around_chars=0, max_chars=1000
    )
    shown = [(part.name, part.num_chars) for part in parts if part.kind == "evidence"]
    assert shown == [("first", 50), ("later", 10)]


@pytest.mark.parametrize("seed", range(20))
def test_no_character_is_lost_and_no_more_is_shown_than_asked(seed):
    rng = random.Random(seed)
    evidence = [
        Evidence(start, start + rng.randrange(120), "p")
        for start in rng.choices(range(1000), k=rng.randrange(8))
    ]
    max_chars = rng.randrange(1, 1200)
    parts = cut_context(TEXT, evidence, rng.randrange(60), max_chars)
    assert sum(part.num_chars for part in parts) == len(TEXT)
    assert sum(len(part.text) for part in parts) <= max_chars
    position = 0
    for part in parts:
        assert part.text == (TEXT[position : position + part.num_chars] if part.kind != "left out" else "")
        position += part.num_chars
