"""The whole page: well formed, true to the run however far it is, and nothing in it is run or fetched."""

import base64
import hashlib
import json
import re

import pytest

from app.config import RunConfig
from app.records.probe import RopeSearchRecord
from app.report.page import CONTENTS, write_report
from app.run import Run
from tests.html_reader import Reader
from tests.record_makers import gate_record, reading_record
from tests.report.report_runs import ATTACK, make_config, make_run


def read_page(config, run):
    assert write_report(config, run) == f"{run.folder.uri}/report.html"
    reader = Reader()
    reader.feed(run.folder.read_bytes("report.html").decode())
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    config, run = make_run(tmp_path_factory.mktemp("whole"))
    return read_page(config, run), run


def words(page):
    return " ".join(page.text.split())


def test_every_section_is_there_and_linked_to(whole):
    page, _ = whole
    assert [value for name, value in page.attributes if name == "id"] == list(CONTENTS)
    links = [value for name, value in page.attributes if name == "href"]
    assert links == ["data:,", *(f"#{anchor}" for anchor in CONTENTS)]
    for title in CONTENTS.values():
        # In the navigation and as a heading.
        assert page.text.count(title) == 2


def test_the_page_tells_what_the_run_holds(whole):
    text = words(whole[0])
    for part in (
        "Llama-3.2-1B-Instruct → 256k",
        "131,072 → 262,144",
        "2 times as long",
        "91.2% at 262,144 tokens, stage 256k",
        "−1.5 points now 50.5%, stage 256k",
        "Not there yet: stage 512k.",
        "98.5% of exact search",
        "Rejects: 3 of 16 seeds",
        "evidence at 17%",
        "4 of 4",
        "1 of 4",
        "near duplicate",
        "longstrap bootstrap --config recipe.yaml",
        "feed" * 16,
        "killed",
    ):
        assert part in text
    assert whole[0].seen.count("article") == 3


def test_killed_and_failed_starts_count(whole):
    # 60 + 240 + 1000 + 2000 + 3600 + 300 + 1800 s.
    assert "2h 30m 7 starts of steps" in words(whole[0])


def test_pictures_are_inside(whole):
    page, _ = whole
    sources = [value for name, value in page.attributes if name == "src"]
    assert len(sources) == 6
    assert all(source.startswith("data:image/png;base64,iVBOR") for source in sources)
    assert sum(name == "alt" and bool(value) for name, value in page.attributes) == 6


def test_a_search_for_the_rope_is_shown(tmp_path):
    config, run = make_config(tmp_path), Run(str(tmp_path))
    stage = config.train.stages[0].name
    readings = [reading_record("rule", 2, 3.0), reading_record("4 x rule", 7, 2.5)]
    record = RopeSearchRecord(
        model="m", old_tokens=8192, chosen="4 x rule", rope_parameters={"rope_theta": 1.0}, readings=readings
    )
    before = read_page(config, run)
    assert "candidates, read untrained" not in words(before)
    run.rope_search(stage).complete(record)
    after = read_page(config, run)
    assert f"RoPE of stage {stage}: candidates, read untrained at 10,240 tokens" in words(after)
    assert "7 of 10" in words(after)
    assert after.seen.count("img") == before.seen.count("img") + 1


def test_only_our_script_may_run_and_nothing_is_fetched(whole):
    page, run = whole
    [script] = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    [policy] = [value for name, value in page.attributes if name == "content" and "default-src" in value]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert f"script-src 'sha256-{digest}'" in policy
    assert not {"iframe", "object", "form"} & set(page.seen)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    html = re.sub(r'base64,[^"]*"', "", run.folder.read_bytes("report.html").decode())
    assert not re.search(r"https?://|url\(|@import", html)
    fetched = [value for name, value in page.attributes if name in ("src", "href")]
    assert all(value.startswith(("data:", "#")) for value in fetched)


def test_what_documents_and_models_say_is_text(whole):
    page, _ = whole
    assert page.seen.count("script") == 1
    # Source, rejects, three examples with instruction and documents, starts, settings.
    assert words(page).count(" ".join(ATTACK.split())) >= 10


def test_tables_name_their_columns_and_stay_in_their_boxes(whole):
    page, _ = whole
    assert page.seen.count("table") == page.seen.count("caption") == page.seen.count("thead") > 10
    roles = [value for name, value in page.attributes if name == "role"]
    assert roles == ["region"] * page.seen.count("table")


def test_a_run_that_has_hardly_begun_has_a_report(tmp_path):
    text = words(read_page(make_config(tmp_path), Run(str(tmp_path))))
    for part in (
        "Not there yet: corpus, index, dataset, stage 256k, stage 512k, evaluation.",
        "The corpus is not complete yet.",
        "The dataset is not complete yet.",
        "No step is trained yet.",
        "No stage has been questioned at its gate.",
        "No evaluation has been made yet.",
        "There is no plan beside it: plan.num_corpus_tokens: is missing",
        "No start of a step is recorded",
        "The run has no config.json",
    ):
        assert part in text


def test_a_run_that_only_trains_has_a_report(tmp_path):
    config, run = make_run(tmp_path)
    train = config.train.model_copy(update={"model": "meta-llama/Llama-3.2-1B-Instruct"})
    alone = RunConfig(run_dir=config.run_dir, train=train, plan=config.plan)
    text = words(read_page(alone, run))
    assert "Nothing: the stages train on data that was there already." in text
    assert "Llama-3.2-1B-Instruct → 256k" in text
    assert "longstrap train --config recipe.yaml" in text
    assert "Not there yet: stage 512k." in text


def test_a_half_written_dataset_is_not_read(tmp_path):
    config, run = make_run(tmp_path)
    run.folder.filesystem.delete_file(run.dataset.folder.file("_complete.json"))
    page = read_page(config, run)
    assert "The dataset is not complete yet." in words(page)
    assert "article" not in page.seen


def test_a_refused_gate_is_told(tmp_path):
    config, run = make_run(tmp_path)
    gate_record(found=12.0).write(run.gates, "256k.json")
    assert "not passed" in words(read_page(config, run))


def test_logins_do_not_get_out(tmp_path):
    config, run = make_run(tmp_path)
    run.evaluation_report.write_bytes("section.html", b"<p>s3://name:secret@bucket/x</p>")
    page = read_page(config, run)
    assert "s3://…@bucket/x" in page.text
    assert "secret" not in run.folder.read_bytes("report.html").decode()


def test_halves_of_surrogate_pairs_do_not_stop_it(tmp_path):
    config, run = make_run(tmp_path)
    attempts = run.folder / "attempts"
    [name, *_] = attempts.list_names()
    attempts.write_bytes(name, json.dumps(attempts.read_json(name) | {"line": "half \ud800"}).encode())
    assert "half ?" in words(read_page(config, run))


def test_later_rounds_are_linked_to(tmp_path):
    config, run = make_run(tmp_path)
    for name in ("round2", "round3"):
        (run.folder / name).write_bytes("config.json", b"{}")
    (run.folder / "round2").write_bytes("report.html", b"x")
    page = read_page(config, run)
    links = [value for name, value in page.attributes if name == "href"]
    assert "round2/report.html" in links
    assert "round3/report.html" not in links
    assert "Round 3: has no report yet" in page.text


def test_the_report_is_replaced_whole(tmp_path):
    config, run = make_run(tmp_path)
    run.folder.write_bytes("report.html", b"old")
    write_report(config, run)
    assert run.folder.read_bytes("report.html").endswith(b"</html>\n")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
