import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest

from app.faults import UserError
from app.progress import holders
from app.progress.holders import DEAD_SEC, Holder, held
from app.storage import Folder


@pytest.fixture
def run(tmp_path) -> Folder:
    return Folder(str(tmp_path / "run"))


def holder(**changes) -> Holder:
    """A command at work on another machine."""
    now = time.time()
    return replace(Holder("index", ["documents"], "far", "pid:[1]", 7, "1", now - 100, now), **changes)


def put(run: Folder, other: Holder) -> None:
    run.write_json(f"holder-{other.started_sec:.6f}-0.json", asdict(other))


def names(run: Folder) -> list[str]:
    return run.list_names(".json")


def test_a_second_command_is_refused_and_told_who_works(run):
    with held(run, "index", ["documents"], print):
        with (
            pytest.raises(
                UserError, match=rf"^run_dir: .* `index` on .*, pid {os.getpid()}, since 20"
            ) as raised,
            held(run, "synthesize", ["documents", "dataset"], print),
        ):
            pytest.fail("both work")
        assert "\n" not in str(raised.value)
        assert len(names(run)) == 1
    assert names(run) == []
    with held(run, "index", ["documents"], print):
        pass


def test_commands_that_write_other_parts_work_side_by_side(run):
    with held(run, "index", ["documents"], print), held(run, "evaluate", ["eval"], print):
        assert len(names(run)) == 2


def test_a_command_that_writes_nothing_is_not_in_the_way(run):
    with held(run, "index", ["documents"], print), held(run, "report", [], print):
        assert len(names(run)) == 1


def test_a_killed_process_of_this_machine_is_replaced_at_once(run):
    program = (
        "import os, sys; from app.progress.holders import held; from app.storage import Folder\n"
        "with held(Folder(sys.argv[1]), 'index', ['documents'], print): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, run.uri])
    assert done.returncode == -9
    assert len(names(run)) == 1
    lines: list[str] = []
    with held(run, "index", ["documents"], lines.append):
        assert len(names(run)) == 1
    assert len(lines) == 1
    assert "took over from `index` on " in lines[0]


def test_a_later_process_with_the_same_id_is_not_the_holder(run):
    with held(run, "index", ["documents"], print):
        [name] = names(run)
        own = Holder(**run.read_json(name))
    assert own.is_alive(time.time())
    assert not replace(own, process_start="12").is_alive(time.time())


def test_a_command_elsewhere_is_judged_by_its_signs_of_life(run):
    put(run, holder())
    with pytest.raises(UserError, match="on far, pid 7"), held(run, "index", ["documents"], print):
        pytest.fail("both work")
    put(run, holder(started_sec=1.0, seen_sec=time.time() - DEAD_SEC - 1))
    assert len(names(run)) == 2
    with pytest.raises(UserError, match="on far, pid 7"), held(run, "index", ["documents"], print):
        pytest.fail("both work")
    assert len(names(run)) == 1


def test_a_container_of_the_same_name_is_another_machine(run):
    with held(run, "index", ["documents"], print):
        own = Holder(**run.read_json(names(run)[0]))
    there = replace(own, namespace="pid:[1]", pid=2**22 + 1)
    assert there.is_alive(time.time())
    assert not there.is_alive(time.time() + DEAD_SEC)


def test_of_two_that_start_together_the_later_gives_way(run):
    later = holder(started_sec=time.time() + 60)
    put(run, later)

    def withdraw(sec):
        run.filesystem.delete_file(run.file(f"holder-{later.started_sec:.6f}-0.json"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holders.time, "sleep", withdraw)
        with held(run, "index", ["documents"], print):
            assert len(names(run)) == 1


def test_a_holder_gives_signs_of_life(run, monkeypatch):
    monkeypatch.setattr(holders, "SIGN_SEC", 0.02)
    with held(run, "index", ["documents"], print):
        first = run.read_json(names(run)[0])["seen_sec"]
        deadline = time.monotonic() + 20
        while run.read_json(names(run)[0])["seen_sec"] == first and time.monotonic() < deadline:
            time.sleep(0.01)
        assert json.loads(run.read_bytes(names(run)[0]))["seen_sec"] > first
