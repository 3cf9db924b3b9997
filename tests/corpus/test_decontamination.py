import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.config import DecontaminationConfig
from app.corpus.decontamination import list_evaluation_files, read_contaminants
from app.faults import UserError

THIRTEEN = "the quick brown fox jumps over the lazy dog and then sleeps well"
TWELVE = THIRTEEN.rpartition(" ")[0]


def contaminants(*paths, ngram_words=13):
    text = list_evaluation_files(DecontaminationConfig(paths=[str(path) for path in paths], ruler=False))
    return read_contaminants(text.files, ngram_words)


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
    assert [file.path for file in wanted.files] == [str(tmp_path / "squad.json")]
    assert list_evaluation_files(DecontaminationConfig(ruler=False), ruler_dir=tmp_path).files == []
    assert list_evaluation_files(DecontaminationConfig(), ruler_dir=tmp_path / "nowhere").files == []


def test_nothing_named_means_nothing_found():
    assert read_contaminants([], 13).find_contamination(THIRTEEN) is None


def test_missing_and_broken_files_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"corpus\.decontamination\.paths\.0: '.*nowhere' is not there"):
        contaminants(tmp_path / "nowhere")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(UserError, match=r"corpus\.decontamination: .*a\.json can't be read"):
        contaminants(tmp_path / "a.json")


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0c"])
def test_separators_that_json_allows_in_a_string_end_no_line(tmp_path, separator):
    rows = [{"q": f"One{separator}line of a question"}, {"q": THIRTEEN}]
    text = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "a.jsonl").write_bytes(text.encode())
    assert contaminants(tmp_path).find_contamination(THIRTEEN)


def test_what_the_corpus_reads_is_read_here_too(tmp_path):
    texts = [THIRTEEN.replace("fox", animal) for animal in ("cat", "cow", "hen")]
    nested = [[{"answers": {"text": [texts[0]]}, "id": 1}]]
    pq.write_table(pa.table({"rows": nested}), tmp_path / "a.parquet")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(json.dumps({"q": texts[1]}).encode()))
    (tmp_path / "c.txt.zst").write_bytes(pa.compress(texts[2].encode(), "zstd", asbytes=True))
    (tmp_path / "d.xlsx").write_bytes(b"a table")
    found = contaminants(tmp_path)
    assert all(found.find_contamination(text) for text in texts)
    assert (found.num_files, found.num_strings, found.num_ngrams) == (3, 3, 3)
    text = list_evaluation_files(DecontaminationConfig(paths=[str(tmp_path)], ruler=False))
    assert text.left_out == [f"{tmp_path}/d.xlsx"]


def test_a_short_string_is_compared_whole(tmp_path):
    nine = "who sang the oldest known song of the sea"
    (tmp_path / "a.json").write_text(json.dumps([nine, "The Sea", "", "!?"]))
    found = contaminants(tmp_path)
    assert found.num_strings == 2
    assert found.find_contamination(f"They asked: {nine.title()}? Nobody knew.") == nine
    assert found.find_contamination(nine.rpartition(" ")[0]) is None
    # So few words stand everywhere: only a title or a text of nothing else is the benchmark's.
    assert found.find_contamination("A walk by the sea.") is None
    assert found.find_contamination("the sea!") == "the sea"


def test_it_says_what_was_compared_and_warns_of_nothing(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([THIRTEEN, f"{THIRTEEN} indeed", "short"]))
    assert contaminants(tmp_path).describe() == (
        "corpus: compared with 1 files of evaluation text: 3 strings, 3 n-grams (of 13 words, shorter strings whole)"
    )
    assert (
        contaminants().describe().startswith("corpus: compared with no evaluation text; name the benchmarks")
    )


def test_a_comparison_with_nothing_is_refused(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([{"id": 3, "q": " ?"}]))
    with pytest.raises(
        UserError, match=r"^corpus\.decontamination: .*a\.json holds no word to compare with; remove"
    ):
        contaminants(tmp_path)
    (tmp_path / "sheets").mkdir()
    (tmp_path / "sheets" / "b.xlsx").touch()
    with pytest.raises(
        UserError, match=r"holds no text that can be read \(but .*b\.xlsx\); give a file, a folder"
    ):
        contaminants(tmp_path / "sheets")
    for name, content in {"c.parquet": b"PAR1", "d.jsonl.gz": gzip.compress(b"[" * 9000)[:60]}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"^corpus\.decontamination: .*{name} can't be read \("):
            contaminants(tmp_path / name)
