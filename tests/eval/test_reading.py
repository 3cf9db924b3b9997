from eval.reading import MAX_WRONG, wrong_answers
from eval.records import Record, Reply
from eval.suites.registry import sampled_suite

NIAH = sampled_suite("niah")


def record(index=0, text="no", task="niah", references=("7",), error=None, **facts):
    reply = None if error else Reply(text, "stop", 10, 2, 0, 0.1)
    return Record(f"{task}-4096-{index:05}", task, 4096, "", facts, list(references), reply, error)


def test_wrong_answers_are_lines_with_what_was_wanted_and_where():
    records = [
        record(0, text="7"),
        record(1, text="no\nidea", needle_depths_percent=[40.0, 60.0]),
        record(2, text=" "),
        record(3, text="7 or 8", references=("7", "9")),
        record(4, error="away"),
    ]
    assert wrong_answers(NIAH, "m", records) == [
        "m, niah-4096-00001, needles at 40%, 60%: wanted 7; replied 'no idea'",
        "m, niah-4096-00002: wanted 7; replied nothing",
        "m, niah-4096-00003: wanted 7, 9; replied '7 or 8' (50 %)",
    ]


def test_a_report_lists_some_and_says_how_many_more():
    lines = wrong_answers(NIAH, "m", [record(index) for index in range(MAX_WRONG + 3)])
    assert len(lines) == MAX_WRONG + 1
    assert lines[-1] == "m: 3 more are in the records"
