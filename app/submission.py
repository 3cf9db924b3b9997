"""Submits a job to a running Ray cluster and follows its log, as `ray job submit` does."""

import asyncio
import logging
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app.config import Config, RunConfig, ray_address
from app.faults import UserError, one_line
from app.models.places import BUNDLED_PREFIX
from app.recipe import RECIPES_DIR, find_recipe, load_config

EXCLUDES = (
    ".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info", "build", "dist", "runs", "tests",
)  # fmt: skip
"""Files that are not uploaded with the working directory, in addition to those in .gitignore."""
NUM_SHOWN_FILES = 5
"""Files that are named when the folder is too large to upload."""
MAX_RECONNECTS = 5
POLL_SEC = 1.0
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


def submit(
    verb: str,
    recipe: str,
    overrides: Sequence[str],
    address: str,
    connect: Callable[[str], Any] | None = None,
) -> int:
    """Run `python -m ray_jobs.VERB` on a cluster, from a copy of the current folder, and follow its log.

    Ctrl-C leaves the job running.

    Args:
        verb: The job.
        recipe: A recipe that comes along, or a file under the current folder.
        overrides: `--section.field VALUE` pairs.
        address: The dashboard, http://HEAD:8265.
        connect: Makes the job client; by default Ray's.

    Returns:
        The job's exit code; 130 after Ctrl-C.

    Raises:
        UserError: The settings cannot work there, or no cluster answers.
    """
    if not address.startswith(("http://", "https://")):
        raise UserError(f"--address {address}: is not a dashboard's; give http://HEAD:8265")
    here = Path.cwd()
    config = load_config(recipe, overrides)
    check_portable(config)
    carried = _carried_recipe(recipe, here)
    if not (here / "ray_jobs" / f"{verb}.py").is_file():
        raise UserError(
            f"--address: uploads the current folder, but {here} has no ray_jobs/{verb}.py; cd to Longstrap's folder"
        )
    _check_upload(here)
    client = (connect or _connect)(address)
    job_id = client.submit_job(
        entrypoint=shlex.join(["python", "-m", f"ray_jobs.{verb}", "--config", carried, *overrides]),
        runtime_env={"working_dir": str(here), "excludes": list(EXCLUDES)},
        metadata={"longstrap": verb},
    )
    print(f"submitted {job_id} to {address}", flush=True)
    try:
        return asyncio.run(_follow(client, job_id))
    except KeyboardInterrupt:
        print(
            f"\n{job_id} goes on without you.\n"
            f"  follow  ray job logs {job_id} --follow --address {address}\n"
            f"  stop    ray job stop {job_id} --address {address}",
            file=sys.stderr,
        )
        return 130


def check_portable(config: RunConfig) -> None:
    """Refuse paths that mean something on this machine only.

    Raises:
        UserError: A path is relative; names its field.
    """
    if not _is_everywhere(config.run_dir):
        raise UserError(
            f"run_dir: {config.run_dir!r} is relative, but the folder of a submitted job is temporary; "
            f"give --run_dir /shared/... or s3://..., where every node can write"
        )
    paths = _paths_of_documents(config) if isinstance(config, Config) else {}
    if config.train is not None:
        paths |= {
            f"train.sources.{name}.path": source.path
            for name, source in config.train.sources.items()
            if source.path
        }
        if (config.train.model or "").startswith("."):
            paths["train.model"] = str(config.train.model)
    if config.serve is not None:
        paths |= {
            f"serve.models.{name}.model": served.model
            for name, served in config.serve.models.items()
            if served.model.startswith(".")
        }
    for field, path in paths.items():
        if not _is_everywhere(path):
            raise UserError(
                f"{field}: {path!r} is relative to this machine; give one that every node sees, or s3://..."
            )


def _paths_of_documents(config: Config) -> dict[str, str]:
    paths = {f"corpus.sources.{i}.path": source.path for i, source in enumerate(config.corpus.sources)}
    paths |= {
        f"corpus.decontamination.paths.{i}": path
        for i, path in enumerate(config.corpus.decontamination.paths)
    }
    for field, model in (
        ("retrieval.model", config.retrieval.model),
        ("generator.model", config.generator.model),
        ("dataset.tokenizer", config.dataset.tokenizer),
    ):
        if model and model.startswith("."):
            paths[field] = model
    return paths


def _is_everywhere(path: str) -> bool:
    return "://" in path or path.startswith(("/", BUNDLED_PREFIX))


def _carried_recipe(recipe: str, here: Path) -> str:
    """Name under which the job finds the recipe in its copy of this folder."""
    path = find_recipe(recipe).resolve()
    if path.parent == RECIPES_DIR.resolve():
        return path.name
    if not path.is_relative_to(here.resolve()):
        raise UserError(
            f"--config {recipe}: is not in {here}, the folder that the job gets a copy of; put it there"
        )
    return path.relative_to(here.resolve()).as_posix()


def _check_upload(folder: Path) -> None:
    """Refuse a folder whose copy Ray's dashboard does not take; Ray itself packs it first, and names no file.

    Raises:
        UserError: it is too large, with its largest files, or can't be read.
    """
    from ray._private.ray_constants import DASHBOARD_CLIENT_MAX_SIZE
    from ray._private.runtime_env.packaging import _dir_travel, _get_excludes

    num_bytes: dict[str, int] = {}

    def measure(path: Path) -> None:
        # Ray packs without compression.
        if path.is_file():
            num_bytes[path.relative_to(folder).as_posix()] = path.stat().st_size

    try:
        _dir_travel(
            folder, [_get_excludes(folder, list(EXCLUDES))], measure, True, logging.getLogger(__name__)
        )
    except (OSError, RecursionError) as error:
        raise UserError(
            f"--address: uploads {folder}, which can't be read ({one_line(error)}); mend it, or name it in .gitignore"
        ) from error
    total = sum(num_bytes.values())
    if total < DASHBOARD_CLIENT_MAX_SIZE:
        return
    largest = sorted(num_bytes, key=lambda name: (-num_bytes[name], name))[:NUM_SHOWN_FILES]
    shown = ", ".join(f"{name} ({_mebibytes(num_bytes[name])})" for name in largest)
    raise UserError(
        f"--address: uploads {folder}, whose {len(num_bytes):,} files have {_mebibytes(total)} where Ray takes at most "
        f"{_mebibytes(DASHBOARD_CLIENT_MAX_SIZE)}; move the largest away, or name them in .gitignore: {shown}"
    )


def _mebibytes(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:,.1f} MiB"


def _connect(address: str) -> Any:
    # Ray's client lets RAY_ADDRESS win over the address that it is given.
    if ray_address() not in (None, address):
        raise UserError(
            f"--address {address}: RAY_ADDRESS is set to {ray_address()!r} and would take precedence; unset it"
        )

    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except AuthenticationError as error:
        raise UserError(
            f"--address {address}: asks for a token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH=FILE"
        ) from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"--address {address}: no Ray dashboard answers there ({one_line(error)}); give http://HEAD:8265"
        ) from error


async def _follow(client: Any, job_id: str) -> int:
    """Print the job's log until it ends. A connection that breaks, or is closed, is taken up where it broke."""
    from aiohttp import ClientError

    lost_connection = (OSError, RuntimeError, ClientError)
    num_printed = num_failures = 0
    while True:
        num_seen = 0
        reason: Exception | str = "it was closed"
        try:
            # Once the log stays away only the status is waited for.
            if num_failures < MAX_RECONNECTS:
                async for text in client.tail_job_logs(job_id):
                    # Every connection gets the log from its start.
                    new = text[max(0, num_printed - num_seen) :]
                    num_seen += len(text)
                    num_printed += len(new)
                    print(new, end="", flush=True)
                    if new:
                        num_failures = 0
        except lost_connection as error:
            reason = error
        try:
            status = str(client.get_job_status(job_id))
            if status in ENDED:
                print(f"{job_id} {status.lower()}", flush=True)
                return 0 if status == "SUCCEEDED" else int(client.get_job_info(job_id).driver_exit_code or 1)
        except lost_connection as error:
            reason = error
        if num_failures < MAX_RECONNECTS:
            print(f"\nlost the log ({reason}); connecting again", file=sys.stderr)
        elif num_failures == MAX_RECONNECTS:
            print(f"\nlost the log ({reason}); waiting for the job to end", file=sys.stderr)
        await asyncio.sleep(POLL_SEC * 2 ** min(num_failures, MAX_RECONNECTS))
        num_failures += 1
