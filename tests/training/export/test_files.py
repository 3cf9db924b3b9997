"""What an export has besides weights: a tokenizer that is whole, and no word of what is not there."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from app.models.rope import with_rope
from app.storage import Folder
from app.training.export.files import files_in, published, write_config, write_tokenizer
from tests.models.known_models import TINY, configuration
from tests.training.export.export_worker import DEFAULT_ROPE, MAX_TOKENS
from tests.training.far_folder import FarFolder


@pytest.mark.parametrize("kind", [Folder, FarFolder])
def test_chat_templates_with_names_come_along(chatml, tmp_path, kind):
    # transformers reads them with the usual one: without them the export's tokenizer would be another.
    source = shutil.copytree(chatml.model, tmp_path / "source")
    named = source / "additional_chat_templates" / "tool_use.jinja"
    named.parent.mkdir()
    named.write_text("{{ messages[0]['content'] }}")
    with published(kind(str(tmp_path / "export"))) as place:
        write_tokenizer(str(source), None, MAX_TOKENS, place)
        assert named.relative_to(source).as_posix() in [
            path.relative_to(place).as_posix() for path in files_in(place)
        ]
    exported = AutoTokenizer.from_pretrained(tmp_path / "export")
    assert exported.chat_template.keys() == {"default", "tool_use"}


def test_a_vocabulary_is_copied_under_whatever_name_but_for_one_that_vllm_would_prefer(chatml, tmp_path):
    source, place = shutil.copytree(chatml.model, tmp_path / "source"), tmp_path / "export"
    place.mkdir()
    for name in ("sentencepiece.bpe.model", "tekken.json", "tokenizer.model.v3", "notes.txt"):
        (source / name).write_bytes(b"{}")
    write_tokenizer(str(source), None, MAX_TOKENS, place)
    assert {path.name for path in place.iterdir()} - {path.name for path in Path(chatml.model).iterdir()} == {
        "sentencepiece.bpe.model"
    }


def test_code_that_an_export_does_not_hold_is_not_named(chatml, tmp_path):
    source, place = shutil.copytree(chatml.model, tmp_path / "source"), tmp_path / "export"
    place.mkdir()
    path = source / "tokenizer_config.json"
    code = {"auto_map": {"AutoTokenizer": ["tokenization_own.OwnTokenizer", None]}}
    path.write_text(json.dumps(json.loads(path.read_text()) | code))
    write_tokenizer(str(source), None, MAX_TOKENS, place)
    config = configuration(TINY | {"auto_map": {"AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}})
    write_config(with_rope(config, DEFAULT_ROPE, MAX_TOKENS), "LlamaForCausalLM", torch.bfloat16, place)
    for name in ("config.json", "tokenizer_config.json"):
        assert "auto_map" not in json.loads((place / name).read_text())
