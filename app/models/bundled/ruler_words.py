"""The words that RULER asks for and hides, as published in the wheels of two packages.

The reference takes adjectives, nouns and verbs from wonderwords and, where the common-words task needs more of them, a
dictionary in a file of its own that is no package's. That dictionary is the keys of another package's database, in
their order: written as the reference has them, they are the reference's file byte for byte.
"""

import hashlib
import json
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

_LISTS = PinnedWheel(
    name="wonderwords",
    version="3.0.1",
    members={
        "wonderwords/assets/adjectivelist.txt": "66814d46b7e292c83e839d12fe2fa083c8f66779b14b294e1be4e1342c5d4131",
        "wonderwords/assets/nounlist.txt": "8d88b3ebc2e2969ed92ebe49cdb0c8a87c2ad3b27493d7afdff608f2e51c5bc9",
        "wonderwords/assets/verblist.txt": "9fbf5e4e69b8869aebd88e6d545312ff9f878a747327ede5f6dbbba5c27b08ad",
    },
)
_DATABASE = "random_word/database/words.json"
_DICTIONARY = PinnedWheel(
    name="random-word",
    version="1.0.13",
    members={_DATABASE: "332b79374436f3af98a712121f0103d25cd43eb1813aa5616e301ee8f099f2c1"},
)
DICTIONARY_FILE = "english_words.json"
DICTIONARY_SHA256 = "affcd6d45fdf3cc843d585c99c97ad615094e760e6c4756b654bab6c73bc2eca"
"""Of scripts/data/synthetic/json/english_words.json in NVIDIA/RULER."""
_LICENCE = "MIT (wonderwords, random-word); the dictionary is dwyl/english-words, Unlicense"
_NOTE = f"""Word lists of the RULER tasks: wonderwords' lists, unchanged, and `{DICTIONARY_FILE}`, made of the keys of
`{_DATABASE}` of {_DICTIONARY.requirement}: NVIDIA/RULER's file of that name (sha256 `{DICTIONARY_SHA256}`)."""


def prepare_ruler_words(cache_dir: Path, download: Download = download_wheel) -> Path:
    """Make sure that `cache_dir/ruler_words` holds RULER's word lists; at once if it is there already.

    They stand apart from the texts, as training data may hold words that a benchmark has.

    Returns:
        The folder with `adjectivelist.txt`, `nounlist.txt`, `verblist.txt` and `english_words.json`.

    Raises:
        RuntimeError: A package cannot be had, or holds other files than the pinned ones.
    """
    target = cache_dir / "ruler_words"
    if not target.is_dir():
        with complete_folder(target) as folder:
            with wheel_members(_LISTS, download) as members:
                for path in members.values():
                    shutil.move(path, folder / path.name)
            with wheel_members(_DICTIONARY, download) as members:
                content = _dictionary(members[_DATABASE].read_text("utf-8"))
            if (found := hashlib.sha256(content).hexdigest()) != DICTIONARY_SHA256:
                raise RuntimeError(
                    f"{DICTIONARY_FILE} has sha256 {found}, and the reference's {DICTIONARY_SHA256}"
                )
            (folder / DICTIONARY_FILE).write_bytes(content)
            write_source_note(folder, _LISTS, _LICENCE, _NOTE)
    return target


def _dictionary(database: str) -> bytes:
    """The database's words by their number."""
    return json.dumps(dict(enumerate(json.loads(database)))).encode()
