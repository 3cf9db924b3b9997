import json
import shutil
import signal
from pathlib import Path

import pytest

from app.records.training import CheckpointRecord
from app.storage import Folder
from app.training.checkpoints.records import (
    complete_checkpoint,
    delete_checkpoint,
    newest_checkpoint,
    read_record,
    remove_superseded,
    step_folder,
)
from tests.training.ranks import TIMEOUT_SEC, run_ranks

MODELS = ("tied", "untied", "tied-far")
NUM_PROCESSES = {"2": 2, "2 to 4": 4, "4 to 1": 1, "1 to 2": 2}
pytestmark = pytest.mark.timeout(TIMEOUT_SEC + 30)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """One run of four processes for all."""
    folder = tmp_path_factory.mktemp("checkpoints")
    ended = run_ranks(4, "tests.training.checkpoints.checkpoint_worker", "findings", str(folder))
    assert not any(ended.exit_codes), ended.output[-4000:]
    return json.loads((folder / "findings.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("way", ["2 to 4", "4 to 1", "1 to 2"])
@pytest.mark.parametrize("model", MODELS)
def test_a_checkpoint_is_loaded_to_the_last_bit_at_any_number_of_processes(found, model, way):
    results = found[f"{model}: {way}"]
    assert len(results) == NUM_PROCESSES[way]
    for result in results:
        assert result["newest"] == 2
        assert result["progress"] == {"step": 2, "tokens_seen": 256}
        assert result["differing"] == []
        # Of this save alone, though more processes saved the step before.
        assert result["files"] == [f"__{rank}_0.distcp" for rank in range(NUM_PROCESSES[way])]


@pytest.mark.slow
@pytest.mark.parametrize("way", NUM_PROCESSES)
@pytest.mark.parametrize("model", MODELS)
def test_training_goes_on_with_the_losses_of_an_undisturbed_run(found, model, way):
    undisturbed = found[f"{model}: 2"][0]["undisturbed"]
    for result in found[f"{model}: {way}"]:
        assert result["losses"] == pytest.approx(undisturbed, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_what_changes_after_a_save_has_returned_is_not_in_it(found, model):
    for result in found[f"{model}: 2"]:
        assert result["differing"] == []


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_weights_alone_are_loaded_from_another_stage(found, model):
    for result in found[f"{model}: weights"]:
        assert result == {"differing": [], "newest": [None, 2], "has_state": False}


@pytest.mark.slow
def test_the_newest_are_kept_and_older_halves_go(found):
    for result in found["kept"]:
        assert result["newest"] == 6
        assert result["steps"] == ["step-00000005", "step-00000006", "step-00000009"]
        assert result["files"] == [".metadata", "__0_0.distcp", "__1_0.distcp", "_complete.json"]
        assert "step-00000002 is not a complete checkpoint" in result["gone"]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["damaged", "damaged-far"])
def test_the_newest_that_is_as_it_was_written_is_taken_with_a_line(found, place):
    results = found[place]
    for result in results:
        assert result["checksums"] == result["on_disk"]
        assert result["weights"].startswith("RuntimeError")
        assert "step-00000003 is damaged: __1_0.distcp" in result["weights"]
        assert (result["newest"], result["progress"]) == (2, {"step": 2})
        # It counts no more among those that are kept.
        assert result["kept"] == ["step-00000002", "step-00000004"]
    assert [len(result["lines"]) for result in results] == [1, 0]
    assert results[0]["lines"][0].endswith(
        "step-00000003 is not as it was written (__1_0.distcp); the one before it is taken"
    )


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_read_now_is_not_set_aside(found):
    for result in found["unread"]:
        for error in ("AWS Error NETWORK_CONNECTION", "[Errno 13] no"):
            told = result["away" if "AWS" in error else "refused"]
            assert told.startswith("RuntimeError")
            assert "step-00000003 could not be read (__0_0.distcp: " in told
            assert error in told
        assert result["newest"] == 3


@pytest.mark.slow
def test_where_no_checkpoint_is_left_the_line_says_so(found):
    results = found["unread"]
    assert [result["lost"] for result in results] == [None, None]
    assert results[1]["lines"] == []
    newer, older = results[0]["lines"]
    assert "step-00000003" in newer
    assert newer.endswith("; the one before it is taken")
    assert "step-00000002" in older
    assert older.endswith("; there is none before it: the stage begins anew")


@pytest.mark.slow
def test_one_process_that_cannot_write_is_everybodys_error(found):
    for result in found["full disk"]:
        assert result["error"].startswith("RuntimeError")
        assert "step-00000002 could not be written: worker 1: OSError" in result["error"]
        assert result["newest"] == 1
        assert result["then"] == 2


@pytest.mark.slow
def test_an_error_while_completing_in_the_background_is_raised_by_the_next_save(found):
    for result in found["incomplete"]:
        assert "_complete.json" in result["error"]


@pytest.mark.slow
def test_a_save_that_is_killed_leaves_the_one_before(tmp_path):
    ended = run_ranks(2, "tests.training.checkpoints.checkpoint_worker", "killed", str(tmp_path))
    assert ended.exit_codes[1] == -signal.SIGXFSZ, ended.output
    half = tmp_path / "step-00000002"
    assert (half / "__1_0.distcp").stat().st_size > 0
    assert not (half / "_complete.json").exists()
    assert newest_checkpoint(Folder(str(tmp_path))) == 1


def write_checkpoint(folder: Folder, step: int) -> Path:
    place = step_folder(folder, step)
    for name in ("__0_0.distcp", "__1_0.distcp", ".metadata"):
        place.write_bytes(name, f"{name} of {step}".encode())
    complete_checkpoint(folder, step, {"step": step}, 2, {"__0_0.distcp": 7})
    return Path(place.path)


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(str(tmp_path / "checkpoints"))


def test_the_record_names_every_file_with_size_and_checksum(folder):
    write_checkpoint(folder, 12)
    assert read_record(folder, 12) == CheckpointRecord(
        step=12,
        progress={"step": 12},
        num_processes=2,
        files={".metadata": 15, "__0_0.distcp": 18, "__1_0.distcp": 18},
        checksums={"__0_0.distcp": 7},
    )


def test_no_folder_has_no_newest_checkpoint(folder):
    assert newest_checkpoint(folder) is None


def test_the_newest_goes_by_the_number_whatever_its_digits(folder):
    for step in (99_999_999, 100_000_000):
        write_checkpoint(folder, step)
    assert newest_checkpoint(folder) == 100_000_000


@pytest.mark.parametrize("name", ["__1_0.distcp", ".metadata"])
def test_a_checkpoint_with_a_file_cut_off_or_missing_is_never_picked(folder, name):
    write_checkpoint(folder, 1)
    broken = write_checkpoint(folder, 2)
    assert newest_checkpoint(folder) == 2
    whole = (broken / name).read_bytes()
    (broken / name).write_bytes(whole[:-1])
    assert newest_checkpoint(folder) == 1
    (broken / name).unlink()
    assert newest_checkpoint(folder) == 1


def test_a_checkpoint_without_a_whole_record_is_never_picked(folder):
    write_checkpoint(folder, 1)
    record = write_checkpoint(folder, 2) / "_complete.json"
    record.write_bytes(record.read_bytes()[:-20])
    assert newest_checkpoint(folder) == 1
    record.unlink()
    assert newest_checkpoint(folder) == 1


def test_broken_checkpoints_do_not_count_among_those_kept(folder):
    for step in (1, 2, 3, 4):
        write_checkpoint(folder, step)
    (Path(folder.path) / "step-00000003" / ".metadata").unlink()
    remove_superseded(folder, 2)
    assert sorted(path.name for path in Path(folder.path).iterdir()) == ["step-00000002", "step-00000004"]


def test_nothing_goes_before_there_is_a_whole_one(folder):
    shutil.rmtree(write_checkpoint(folder, 1))
    step_folder(folder, 2).write_bytes("__0_0.distcp", b"half")
    remove_superseded(folder, 1)
    assert [path.name for path in Path(folder.path).iterdir()] == ["step-00000002"]


def test_deleting_what_is_not_there_is_fine(folder):
    delete_checkpoint(folder, 5)
    write_checkpoint(folder, 5)
    delete_checkpoint(folder, 5)
    assert newest_checkpoint(folder) is None
    assert not step_folder(folder, 5).exists()
