from benchmarks.gpu_kit.records import Record, append, latest, read_records


def test_records_are_read_as_they_were_written(tmp_path):
    records = [
        Record("exact", "heads of 64", "measured", {"worst": 0.004}),
        Record("rates", "a", "skipped", {}),
    ]
    append(tmp_path / "r.jsonl", records[:1])
    append(tmp_path / "r.jsonl", records[1:])
    assert read_records(tmp_path / "r.jsonl") == records


def test_a_line_that_was_cut_is_left_out(tmp_path):
    file = tmp_path / "r.jsonl"
    append(file, [Record("exact", "a", "measured", {})])
    with file.open("a") as stream:
        stream.write('{"step": "exact", "key": "b", "sta')
    assert [record.key for record in read_records(file)] == ["a"]


def test_what_was_measured_is_not_replaced_by_a_later_failure():
    measured, failed = Record("s", "a", "measured", {"x": 1}), Record("s", "a", "failed", {"reason": "late"})
    assert latest([measured, failed]) == {("s", "a"): measured}
    assert latest([failed, measured]) == {("s", "a"): measured}


def test_a_later_measurement_replaces_an_earlier_one():
    old, new = Record("s", "a", "measured", {"x": 1}), Record("s", "a", "measured", {"x": 2})
    assert latest([old, new]) == {("s", "a"): new}
