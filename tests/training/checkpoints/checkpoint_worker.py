"""What checkpoints do among several processes; the first ones of four train together, the others look on."""

import errno
import json
import resource
import signal
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from app.storage import Folder
from app.training.checkpoints import checkpoints
from app.training.checkpoints.checkpoints import Checkpoints
from app.training.parallel.process_groups import Workers
from tests.training.far_folder import FarFolder
from tests.training.parallel.parity_cases import Case
from tests.training.parallel.parity_worker import config_of
from tests.training.small_training import (
    adam_of,
    differing,
    small_model,
    some_workers,
    train_step,
    whole_state,
)

CASES = {
    "tied": Case(1, 1, model_type="gemma", heads=(4, 1), tie_weights=True),
    "untied": Case(1, 1, model_type="llama", offload=True),
}
FAR = "tied-far"
FILE_BYTES = 20_000
"""Less than one process writes of a checkpoint."""


@contextmanager
def full_disk() -> Iterator[None]:
    """Inside, this process writes no file that is longer than `FILE_BYTES`."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def trained(case: Case, workers: Workers, num_steps: int) -> tuple[Any, Any]:
    model = small_model(config_of(case), 3, workers, offload=case.offload)
    optimizer = adam_of(model)
    for step in range(num_steps):
        train_step(model, optimizer, step, workers)
    return model, optimizer


def fresh(case: Case, workers: Workers) -> tuple[Any, Any]:
    """Other weights, other settings and no state: nothing that is loaded can have been there before."""
    model = small_model(config_of(case), 4, workers, offload=case.offload)
    optimizer = adam_of(model)
    for group in optimizer.param_groups:
        group["lr"] = group["weight_decay"] = 0.7
    return model, optimizer


def save_and_go_on(case: Case, folder: Folder, workers: Workers, shared: Path) -> dict[str, Any]:
    """Save without waiting, change all weights at once and train on, load."""
    checkpoints = Checkpoints(folder, 2, workers)
    model, optimizer = trained(case, workers, 2)
    before = whole_state(model, optimizer)
    checkpoints.save(2, model, optimizer, {"step": 2, "tokens_seen": 256})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.to_local().fill_(7.0)
            for value in optimizer.state[parameter].values():
                (value.to_local() if hasattr(value, "to_local") else value).fill_(7.0)
    for step in range(3):
        train_step(model, optimizer, step, workers)
    checkpoints.finish()
    progress = checkpoints.load(2, model, optimizer)
    found = {"differing": differing(whole_state(model, optimizer), before), "progress": progress}
    losses = [train_step(model, optimizer, step, workers) for step in (2, 3)]
    undisturbed, its_optimizer = trained(case, workers, 2)
    found["losses"] = losses
    found["undisturbed"] = [train_step(undisturbed, its_optimizer, step, workers) for step in (2, 3)]
    if workers.is_leader:
        torch.save(before, shared)
    return found


def load_and_save(case: Case, folder: Folder, workers: Workers, shared: Path) -> dict[str, Any]:
    """Load what another number of processes saved, and save it as the same step by this number."""
    checkpoints = Checkpoints(folder, 2, workers)
    model, optimizer = fresh(case, workers)
    newest = checkpoints.newest()
    assert newest is not None
    progress = checkpoints.load(newest, model, optimizer)
    found = {
        "newest": newest,
        "progress": progress,
        "differing": differing(whole_state(model, optimizer), torch.load(shared)),
    }
    checkpoints.save(newest, model, optimizer, progress, wait=True)
    found["losses"] = [train_step(model, optimizer, step, workers) for step in (2, 3)]
    found["files"] = sorted(path.name for path in Path(f"{folder.uri}/step-00000002").glob("*.distcp"))
    return found


def weights_only(case: Case, folder: Folder, workers: Workers, shared: Path) -> dict[str, Any]:
    """The weights alone, out of another stage's folder."""
    checkpoints = Checkpoints(Folder(f"{folder.uri}-next"), 2, workers)
    model, optimizer = fresh(case, workers)
    checkpoints.load_weights(folder, 2, model)
    expected = {name: value for name, value in torch.load(shared).items() if ":" not in name}
    found = {name: value for name, value in whole_state(model, optimizer).items() if ":" not in name}
    return {
        "differing": differing(found, expected),
        "newest": [checkpoints.newest(), checkpoints.newest(folder)],
        "has_state": bool(optimizer.state),
    }


def keep_two(case: Case, folder: Folder, workers: Workers) -> dict[str, Any]:
    """Five saves without waiting, of which two are kept; a half-written one before them goes, one after them stays."""
    checkpoints = Checkpoints(folder, 2, workers)
    model, optimizer = trained(case, workers, 1)
    if workers.is_leader:
        for step in (1, 9):
            (folder / f"step-{step:08d}").write_bytes("__0_0.distcp", b"half")
    for step in (2, 3, 4, 5, 6):
        checkpoints.save(step, model, optimizer, {"step": step})
    newest = checkpoints.newest()
    steps = sorted(path.name for path in Path(folder.path).iterdir())
    files = sorted(path.name for path in (Path(folder.path) / "step-00000006").iterdir())
    gone = error_of(lambda: checkpoints.load(2, model, optimizer))
    return {"newest": newest, "steps": steps, "files": files, "gone": gone}


def take_the_newest_undamaged(case: Case, folder: Folder, workers: Workers) -> dict[str, Any]:
    """Zeros in the middle of one process's file, whose size stays."""
    lines: list[str] = []
    checkpoints = Checkpoints(folder, 2, workers, lines.append)
    model, optimizer = trained(case, workers, 1)
    for step in (2, 3):
        checkpoints.save(step, model, optimizer, {"step": step}, wait=True)
    place = Path(f"{folder.uri}/step-00000003")
    found: dict[str, Any] = {
        "checksums": json.loads((place / "_complete.json").read_text())["checksums"],
        "on_disk": {
            path.name: zlib.crc32(path.read_bytes()) for path in place.iterdir() if path.suffix != ".json"
        },
    }
    dist.barrier(workers.mesh.get_group())
    if workers.is_leader:
        path = place / "__1_0.distcp"
        whole = bytearray(path.read_bytes())
        middle = len(whole) // 2
        whole[middle : middle + 4096] = bytes(len(whole[middle : middle + 4096]))
        path.write_bytes(whole)
    dist.barrier(workers.mesh.get_group())
    found["weights"] = error_of(lambda: checkpoints.load_weights(folder, 3, model))
    found["newest"] = checkpoints.newest()
    found["progress"] = checkpoints.load(found["newest"], model, optimizer)
    checkpoints.save(4, model, optimizer, {"step": 4}, wait=True)
    found["kept"] = sorted(path.name for path in place.parent.iterdir())
    return found | {"lines": lines}


def read_what_cannot_be_read(case: Case, folder: Folder, workers: Workers) -> dict[str, Any]:
    """A store that does not answer rank 1 for a while; then disks that lost a part of every checkpoint there is."""
    lines: list[str] = []
    keeper = Checkpoints(folder, 2, workers, lines.append)
    model, optimizer = trained(case, workers, 1)
    for step in (2, 3):
        keeper.save(step, model, optimizer, {"step": step}, wait=True)
    found: dict[str, Any] = {}
    read = checkpoints.checksum_of

    def failing(error: OSError) -> Any:
        def checksum_of(place: Folder, name: str) -> int:
            if dist.get_rank() == 1:
                raise error
            return read(place, name)

        return checksum_of

    for name, error in (
        ("away", OSError("AWS Error NETWORK_CONNECTION")),
        ("refused", PermissionError(13, "no")),
    ):
        checkpoints.checksum_of = failing(error)
        found[name] = error_of(keeper.newest)
    checkpoints.checksum_of = read
    found["newest"] = keeper.newest()
    checkpoints.checksum_of = failing(OSError(errno.EIO, "Input/output error"))
    found["lost"] = keeper.newest()
    checkpoints.checksum_of = read
    return found | {"lines": lines}


def write_to_a_full_disk(case: Case, folder: Folder, workers: Workers) -> dict[str, Any]:
    """Rank 1 can't write its part; then it can again."""
    checkpoints = Checkpoints(folder, 2, workers)
    model, optimizer = trained(case, workers, 1)
    checkpoints.save(1, model, optimizer, {"step": 1}, wait=True)
    is_hit = dist.get_rank() == 1
    if is_hit:
        with full_disk():
            checkpoints.save(2, model, optimizer, {"step": 2})
            error = error_of(checkpoints.finish)
    else:
        checkpoints.save(2, model, optimizer, {"step": 2})
        error = error_of(checkpoints.finish)
    found = {"error": error, "newest": checkpoints.newest()}
    checkpoints.save(2, model, optimizer, {"step": 2}, wait=True)
    found["then"] = checkpoints.newest()
    return found


def fail_to_complete(case: Case, folder: Folder, workers: Workers) -> dict[str, Any]:
    """All parts are written, but the leader can't complete: the next save tells all of it."""
    checkpoints = Checkpoints(folder, 2, workers)
    model, optimizer = trained(case, workers, 1)
    place = Path(folder.path) / "step-00000001" / "_complete.json"
    checkpoints.save(1, model, optimizer, {"step": 1}, wait=True)
    checkpoints.save(2, model, optimizer, {"step": 2}, wait=True)
    if workers.is_leader:
        # Who cleans up stumbles over it: a record that no record can be.
        place.unlink()
        place.mkdir()
        (place / "file").write_bytes(b"")
    checkpoints.save(3, model, optimizer, {"step": 3})
    error = error_of(lambda: checkpoints.save(4, model, optimizer, {"step": 4}))
    return {"error": error}


def error_of(function: Any) -> str:
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def findings(folder: Path) -> dict[str, Any]:
    """Results of all processes that took part, by case; each is a list with one entry a process."""
    found: dict[str, Any] = {}

    def among(name: str, num_processes: int, function: Any, *arguments: Any) -> None:
        workers = some_workers(num_processes)
        result = None if workers is None else function(*arguments[:2], workers, *arguments[2:])
        results: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(results, result)
        found[name] = results[:num_processes]

    for name in ("tied", "untied", FAR):
        case = CASES[name.removesuffix("-far")]
        place = (FarFolder if name == FAR else Folder)(f"{folder}/{name}")
        shared = folder / f"{name}.pt"
        among(f"{name}: 2", 2, save_and_go_on, case, place, shared)
        among(f"{name}: 2 to 4", 4, load_and_save, case, place, shared)
        among(f"{name}: 4 to 1", 1, load_and_save, case, place, shared)
        among(f"{name}: 1 to 2", 2, load_and_save, case, place, shared)
        among(f"{name}: weights", 2, weights_only, case, place, shared)
    among("kept", 2, keep_two, CASES["untied"], Folder(f"{folder}/kept"))
    among("damaged", 2, take_the_newest_undamaged, CASES["untied"], Folder(f"{folder}/damaged"))
    among("damaged-far", 2, take_the_newest_undamaged, CASES["tied"], FarFolder(f"{folder}/damaged-far"))
    among("unread", 2, read_what_cannot_be_read, CASES["untied"], Folder(f"{folder}/unread"))
    among("full disk", 2, write_to_a_full_disk, CASES["untied"], Folder(f"{folder}/full"))
    among("incomplete", 2, fail_to_complete, CASES["untied"], Folder(f"{folder}/incomplete"))
    return found


def killed(folder: Path) -> None:
    """The kernel kills rank 1 in the middle of its file, as SIGKILL would: no handler, no cleaning up."""
    workers = some_workers(2)
    assert workers is not None
    checkpoints = Checkpoints(Folder(str(folder)), 2, workers)
    model, optimizer = trained(CASES["untied"], workers, 1)
    checkpoints.save(1, model, optimizer, {"step": 1}, wait=True)
    if dist.get_rank() == 1:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    checkpoints.save(2, model, optimizer, {"step": 2}, wait=True)


def main(command: str, path: str) -> None:
    """Write findings.json into the folder, with four processes; or die in the second save, with two."""
    if command == "killed":
        killed(Path(path))
    else:
        found = findings(Path(path))
        if dist.get_rank() == 0:
            (Path(path) / "findings.json").write_text(json.dumps(found))
