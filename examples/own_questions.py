"""Ask a served model 20 questions about three texts of the bundled sample: a chapter, a country, a manual.

.venv/bin/python examples/own_questions.py FOLDER NAME TOKENIZER http://127.0.0.1:8000/v1

FOLDER gets the texts, the questions and the run; NAME is the model's name at the URL, and TOKENIZER the model or folder
with its tokenizer. docs/own_questions.md describes the file of questions.
"""

import gzip
import json
import shutil
import sys
from importlib import resources
from pathlib import Path

from app.cli import main

TEXTS = {
    "loomings.txt": "moby_chapter_1",
    "kiribati.txt": "factbook_australia-oceania/kr",
    "sqlite_limits.txt": "sqlite3-doc/usr/share/doc/sqlite3/limits.html",
}
MAX_CHARS = 9000
"""Of each text, so that small models read it."""


def write_texts(folder: Path) -> Path:
    """Put texts and questions into a folder; returns the file of questions."""
    sample = resources.files("app.models.bundled").joinpath("data/public_domain_sample.jsonl.gz")
    with sample.open("rb") as packed, gzip.open(packed, "rt", encoding="utf-8") as lines:
        documents = {row["id"]: row["text"] for row in map(json.loads, lines)}
    folder.mkdir(parents=True, exist_ok=True)
    for name, document_id in TEXTS.items():
        (folder / name).write_text(documents[document_id][:MAX_CHARS], "utf-8")
    questions = Path(__file__).parent / "own_questions" / "questions.jsonl"
    return Path(shutil.copy(questions, folder))


if __name__ == "__main__":
    folder, name, tokenizer, url, *overrides = sys.argv[1:]
    questions = write_texts(Path(folder))
    sys.exit(
        main(
            [
                *("evaluate", "--config", "laptop.yaml", "--run_dir", f"{folder}/run", "--url", url),
                *("--suite", "mine", "--evaluate.mine", json.dumps({"path": str(questions)})),
                *("--evaluate.models", json.dumps({name: {"tokenizer": tokenizer}})),
                *overrides,
            ]
        )
    )
