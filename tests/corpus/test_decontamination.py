import json

import pytest

from app.config import DecontaminationConfig
from app.corpus.decontamination import list_evaluation_files, read_contaminants
from app.faults import UserError

THIRTEEN = "the quick brown fox jumps over the lazy dog and then sleeps well"
TWELVE = THIRTEEN.rpartition(" ")[0]


def contaminants(*paths, ngram_words=13):
    files = list_evaluation_files(DecontaminationConfig(paths=[str(path) for path in paths], ruler=False))
    return read_contaminants(files, ngram_words)


def test_a_shared_stretch_is_found_whatever_its_case_and_punctuation(tmp_path):
    (tmp_path / "a.txt").write_text(f"Before. {THIRTEEN}. After.")
    found = contaminants(tmp_path / "a.txt")
    assert found.find_contamination(f"A story: “The quick, BROWN fox{THIRTEEN[19:]}”, it says.") == THIRTEEN
    assert found.find_contamination(f"A story: {TWELVE} badly.") is None
    assert found.find_contamination("short") is None


def test_all_strings_of_json_and_jsonl_are_evaluation_text(tmp_path):
    (tmp_path / "a.json").write_text(
        json.dumps({"data": [{"qas": [{"deep": [THIRTEEN]}]}], THIRTEEN[::-1]: 1})
    )
    (tmp_path / "b.jsonl").write_text(f'{{"n": 1}}\n\n{{"q": "{THIRTEEN.replace("fox", "cat")}"}}\n')
    found = contaminants(tmp_path)
    assert found.find_contamination(THIRTEEN)
    assert found.find_contamination(THIRTEEN.replace("fox", "cat"))
    assert found.find_contamination(THIRTEEN.replace("fox", "cow")) is None
    assert found.find_contamination(THIRTEEN[::-1]) is None


def test_no_ngram_reaches_from_one_string_into_the_next(tmp_path):
    half = len(THIRTEEN.split()) // 2
    words = THIRTEEN.split()
    (tmp_path / "a.json").write_text(
        json.dumps([" ".join(part) for part in (words[:half], words[half:]) * 2])
    )
    assert contaminants(tmp_path).find_contamination(THIRTEEN) is None


def test_the_number_of_words_is_settable(tmp_path):
    (tmp_path / "a.txt").write_text("one two three four")
    found = contaminants(tmp_path, ngram_words=3)
    assert found.find_contamination("zero two three four five") == "two three four"
    assert found.find_contamination("two three five") is None


def test_ruler_ingredients_count_where_they_are(tmp_path):
    (tmp_path / "squad.json").write_text(json.dumps({"context": THIRTEEN}))
    (tmp_path / "SOURCE.md").write_text(THIRTEEN.replace("fox", "cat"))
    wanted = list_evaluation_files(DecontaminationConfig(), ruler_dir=tmp_path)
    assert [file.path for file in wanted] == [str(tmp_path / "squad.json")]
    assert list_evaluation_files(DecontaminationConfig(ruler=False), ruler_dir=tmp_path) == []
    assert list_evaluation_files(DecontaminationConfig(), ruler_dir=tmp_path / "nowhere") == []


def test_nothing_named_means_nothing_found():
    assert read_contaminants([], 13).find_contamination(THIRTEEN) is None


def test_missing_and_broken_files_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"corpus\.decontamination\.paths\.0: '.*nowhere' is not there"):
        contaminants(tmp_path / "nowhere")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(UserError, match=r"corpus\.decontamination: .*a\.json can't be read"):
        contaminants(tmp_path / "a.json")
