"""Files in the form of HELMET's, in small."""

import json

from app.config import HelmetConfig
from eval.helmet.definitions import TASKS

LENGTH = 8192


def needle(number):
    return {
        "context": f"One of the special magic numbers for key-{number} is: {number}11.",
        "query": f"key-{number}",
        "type_needle_v": "numbers",
        "answer": [f"{number}11", f"{number}22"],
    }


def value(number):
    return {
        "context": '{"k": "v"}',
        "question": f"key-{number}",
        "answer": f"value-{number}",
        "demos": [["d1", "v1"], ["d2", "v2"], ["d3", "v3"]],
        "num_kvs": 105,
    }


def passages(*names):
    return [{"id": name, "title": f"T {name}", "text": f"Text {name}."} for name in names]


def question(number, depth=0, **changes):
    row = {
        "id": f"q{number:03}",
        "question": f"Who is {number}?",
        "answers": [f"Mr {number}"],
        "ctxs": passages("a", "b"),
        "depth": depth,
    }
    return row | changes


def ranking(number, labels=(0, 3, 1), **changes):
    ctxs = [each | {"label": label} for each, label in zip(passages("11", "12", "13"), labels, strict=True)]
    return {"qid": f"r{number:03}", "query": f"What is {number}?", "ctxs": ctxs} | changes


def write(file, rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def written(folder, task, rows, demos=(), **settings):
    """A folder with the file of a task at `LENGTH`, and settings that ask it alone."""
    write(folder / TASKS[task].file(LENGTH), rows)
    if TASKS[task].demos:
        write(folder / TASKS[task].demos, demos)
    return HelmetConfig(path=str(folder), tasks=[task], lengths_tokens=[LENGTH], **settings)
