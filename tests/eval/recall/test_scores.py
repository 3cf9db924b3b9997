import pytest

from eval.recall.scores import followed, rows, score_recall
from eval.records import Record, Reply


def facts(variant="changed", kind="fact", index=0, context=("Lima",), remembered=("Paris", "Lutetia")):
    return {
        "kind": kind,
        "variant": variant,
        "index": index,
        "item": f"{kind} {index}",
        "context_answers": [] if variant == "closed" else list(context),
        "remembered_answers": list(remembered),
    }


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (" Lima", "context"),
        ("LIMA.", "context"),
        ("Paris", "memory"),
        ("It was called Lutetia", "memory"),
        ("Lima, though it is really Paris", "context"),
        ("Paris, but the text says Lima", "memory"),
        ("Limassol or Parisian", "neither"),
        ("答案是Lima。", "context"),
        ("不是利马，是Paris市", "memory"),
        ("", "neither"),
    ],
)
def test_what_an_answer_follows(reply, expected):
    assert followed(facts(), reply) == expected


def test_where_the_context_tells_the_truth_it_is_followed():
    assert followed(facts("true", context=("Paris", "Lutetia")), "lutetia") == "context"


def test_a_right_closed_book_answer_is_remembered():
    assert followed(facts("closed"), "Paris") == "memory"
    assert followed(facts("closed"), "Lima") == "neither"


def record(variant, index, text, length=1000, kind="fact"):
    said = {"context": ("Paris",)} if variant == "true" else {}
    reply = None if text is None else Reply(text, "stop", 1, 1, 0, 0.1)
    error = "timed out" if text is None else None
    length = 560 if variant == "closed" else length
    about = facts(variant, kind, index, **said)
    return Record(
        f"{kind}-{variant}-{length}-{index}", f"{kind}_{variant}", length, "", about, [], reply, error
    )


def records(true, changed, closed, **settings):
    for variant, replies in (("true", true), ("changed", changed), ("closed", closed)):
        for index, text in enumerate(replies):
            yield record(variant, index, text, **settings)


def test_shares():
    true = ["Paris", "Paris", "Rome", "Paris"]
    changed = ["Lima", "Paris", "Lima", "Rome"]
    closed = ["Paris", "Paris", "Lima", "no idea"]
    (cell,) = score_recall(list(records(true, changed, closed)), failures_count_as_wrong=False)
    assert (cell.kind, cell.length_tokens, cell.num_questions, cell.num_failed) == ("fact", 1000, 4, 0)
    assert cell.true_followed.value == 75.0
    assert cell.changed_followed.value == 50.0
    assert cell.changed_remembered.value == 25.0
    assert cell.changed_neither.value == 25.0
    assert cell.both_followed.value == 25.0
    assert cell.closed_book.value == 50.0
    assert cell.num_known == 2
    assert cell.known_followed.value == 50.0
    assert cell.known_remembered.value == 50.0
    assert 0 <= cell.changed_followed.low < 50 < cell.changed_followed.high <= 100


def test_intervals_narrow_with_more_questions():
    few = score_recall(list(records(["Paris"] * 8, ["Lima", "Rome"] * 4, ["Paris"] * 8)), False)[
        0
    ].changed_followed
    many = score_recall(list(records(["Paris"] * 200, ["Lima", "Rome"] * 100, ["Paris"] * 200)), False)[
        0
    ].changed_followed
    assert few.value == many.value == 50.0
    assert many.high - many.low < (few.high - few.low) / 3
    # Of 200 answers, by the normal distribution: 50 ± 6.9.
    assert many.low == pytest.approx(43.1, abs=1.5)


def test_nothing_known_leaves_no_share_of_it():
    (cell,) = score_recall(list(records(["Paris"], ["Lima"], ["Rome"])), failures_count_as_wrong=False)
    assert (cell.num_known, cell.known_followed, cell.known_remembered) == (0, None, None)


def test_a_failed_request_leaves_no_score_unless_it_counts_as_wrong():
    asked = list(records(["Paris", "Paris"], ["Lima", None], ["Paris", "Paris"]))
    (cell,) = score_recall(asked, failures_count_as_wrong=False)
    assert cell.num_failed == 1
    assert cell.true_followed.value == 100.0
    assert (cell.changed_followed, cell.both_followed, cell.known_followed) == (None, None, None)
    (cell,) = score_recall(asked, failures_count_as_wrong=True)
    assert cell.changed_followed.value == cell.changed_neither.value == 50.0


def test_a_failed_closed_book_request_leaves_what_is_known_open():
    asked = list(records(["Paris", "Paris"], ["Lima", "Lima"], ["Paris", None]))
    (cell,) = score_recall(asked, failures_count_as_wrong=False)
    assert cell.changed_followed.value == 100.0
    assert (cell.closed_book, cell.known_followed, cell.num_known) == (None, None, 0)


def test_kinds_and_lengths_have_rows_of_their_own():
    asked = list(records(["Paris"], ["Lima"], ["Paris"]))
    asked += [record("true", 0, "Rome", 2000), record("changed", 0, "Paris", 2000)]
    asked += list(records(["Paris"], ["Lima"], ["Rome"], kind="chain"))
    table = rows(score_recall(asked, failures_count_as_wrong=False))
    assert [(row["kind"], row["length_tokens"], row["changed_followed"]) for row in table] == [
        ("fact", 1000, 100.0),
        ("fact", 2000, 0.0),
        ("chain", 1000, 100.0),
    ]
    assert table[2]["known_followed"] is None
    assert table[2]["known_followed_low"] is None
    assert table[0]["closed_book_high"] == 100.0


def test_a_missing_variant_is_no_score():
    asked = [r for r in records(["Paris"], ["Lima"], ["Paris"]) if r.facts["variant"] != "true"]
    with pytest.raises(AssertionError, match="a variant is missing"):
        score_recall(asked, failures_count_as_wrong=False)
