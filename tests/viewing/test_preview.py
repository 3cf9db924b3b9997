"""What is done of a preview is shown while the rest is made."""

import threading

import pyarrow as pa
import pytest

from app.config import ViewConfig
from app.dataset.identity import identity_of_dataset
from app.dataset.reject_share import TooManyRejectsError
from app.dataset.result_rows import RESULTS_DIR
from app.dataset.results import RESULT_SCHEMA
from app.run import Run
from app.storage import Folder
from app.viewing import preview
from app.viewing.preview import _Told, followed
from tests.dataset.example_rows import make_config
from tests.record_makers import index_record
from tests.viewing.viewed_runs import long_input, write_dataset, write_run

DEADLINE_SEC = 20


def result(index, reason=None):
    row = dict.fromkeys(RESULT_SCHEMA.names) | {"seed_id": f"s{index}", "seed_index": index}
    if reason:
        return row | {
            "kind": "long_input",
            "task": "trace",
            "reject_step": "filters",
            "reject_reason": reason,
        }
    example = long_input(index)
    return row | {name: example[name] for name in example if name != "example_id"}


def write(dataset, row):
    name = f"part-{row['seed_index']}.parquet"
    (dataset / RESULTS_DIR).write_table(name, pa.Table.from_pylist([row], RESULT_SCHEMA))


def test_rows_are_shown_as_they_come_and_a_half_written_file_later(monkeypatch, tmp_path):
    monkeypatch.setattr(preview, "POLL_INTERVAL_SEC", 0.02)
    dataset, seen, has_come = Folder(str(tmp_path)), [], threading.Event()

    def show(rows):
        seen.append([row["seed_id"] for row in rows])
        has_come.set()

    with followed(dataset, show):
        write(dataset, result(0))
        assert has_come.wait(DEADLINE_SEC)
        has_come.clear()
        broken = tmp_path / RESULTS_DIR / "part-1.parquet"
        broken.write_bytes(b"PAR1")
        assert not has_come.wait(0.2)
        write(dataset, result(1, "refusal"))
        assert has_come.wait(DEADLINE_SEC)
    assert seen == [["s0"], ["s0", "s1"]]


def test_a_full_disk_does_not_end_the_work(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(preview, "POLL_INTERVAL_SEC", 0.02)
    has_come = threading.Event()

    def show(rows):
        has_come.set()
        raise OSError("No space left on device")

    with followed(Folder(str(tmp_path)), show):
        write(Folder(str(tmp_path)), result(0))
        assert has_come.wait(DEADLINE_SEC)
    assert "the page is not written: No space left" in caplog.text


def test_each_seed_is_told_once_and_the_first_example_is_printed(tmp_path):
    config, lines = make_config(run_dir=str(tmp_path), view=ViewConfig()), []
    told = _Told(config, Run(str(tmp_path)), "Preview of mills", lines.append)
    told.show([result(0, "refusal")])
    told.show([result(0, "refusal"), result(1), result(2)])
    assert lines[0] == f"open      {tmp_path}/dataset.html"
    assert lines[1] == "preview: 1 of 13, s0, trace: rejected, refusal"
    assert lines[2] == "preview: 2 of 13, s1, compare: 1,001 tokens"
    assert lines[3].startswith("> `s1` · compare")
    assert lines[4:] == ["preview: 3 of 13, s2, trace: 1,002 tokens"]
    page = (tmp_path / "dataset.html").read_text()
    assert "3 of 13 seeds are done; load the page again for more." in page
    assert page.count("<article") == 3


class FakeSynthesis:
    """Stands in for the job on Ray: claims the folder and finishes a dataset in it."""

    def __init__(self, has_examples):
        self.has_examples = has_examples

    def __call__(self, config, run, report):
        run.dataset.claim(identity_of_dataset(config, run.index.record()))
        if not self.has_examples:
            write_dataset(run, [], [("s0", "answer", "request refused", "400: bad model")])
            raise TooManyRejectsError("dataset: none of 1 seeds became an example")
        if not run.dataset.is_complete():
            write_run(
                run.folder.uri, [long_input(index) for index in range(config.dataset.num_long_input_seeds)]
            )


@pytest.fixture
def previewed(monkeypatch, tmp_path):
    """Makes a preview of a run that has its index; gives the lines that were told, and the page."""
    run = Run(str(tmp_path / "mills"))
    run.index.complete(index_record())

    def make(num_seeds, has_examples=True):
        lines = []
        monkeypatch.setattr(preview, "synthesize", FakeSynthesis(has_examples))
        config = make_config(run_dir=run.folder.uri, preview={"num_seeds": num_seeds})
        preview.preview(config, run, lines.append)
        return lines, (tmp_path / "mills" / "preview" / "dataset.html").read_text()

    return make


def test_a_preview_with_other_settings_starts_over_and_the_same_one_does_not(previewed):
    lines, page = previewed(4)
    assert [line.split()[0] for line in lines] == ["open"]
    assert "<h1>Preview of mills</h1>" in page
    assert page.count("<article") == 3
    assert previewed(4) == (lines, page)
    lines, page = previewed(8)
    assert lines[0] == "preview: other settings than before; starting over"
    assert page.count("<article") == 6


def test_a_preview_without_an_example_shows_why(previewed, tmp_path):
    with pytest.raises(TooManyRejectsError):
        previewed(1, has_examples=False)
    page = (tmp_path / "mills" / "preview" / "dataset.html").read_text()
    assert "400: bad model" in page


def test_nothing_of_a_preview_is_in_the_run_itself(previewed, tmp_path):
    previewed(2)
    names = sorted(each.name for each in (tmp_path / "mills").iterdir())
    assert names == ["index", "preview"]
