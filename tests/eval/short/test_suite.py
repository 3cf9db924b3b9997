"""Scores of short tasks that are there already: whose they are."""

from dataclasses import replace

from app.config import EvaluateConfig
from app.storage import Folder
from app.tokens import Tokenizer
from eval.short.suite import _Asking


def test_scores_of_another_model_with_the_same_folder_are_not_taken(tmp_path):
    tokenizer = Tokenizer("bundled:smollm2-135m-instruct")
    folder = Folder(str(tmp_path / "org--model"))
    own = _Asking(EvaluateConfig(), "org/model", tokenizer, "http://127.0.0.1:1/v1", None, folder)
    written = {"settings": own._settings("ifeval"), "scores": [], "remarks": ["none"]}
    folder.write_json("ifeval.json", written)
    assert own.read("ifeval") == ([], ["none"])
    assert replace(own, model="org--model").read("ifeval") is None
