import csv

import pytest

from app.config import AalcrConfig
from app.faults import UserError
from eval.aalcr.questions import Documents, read_questions

COLUMNS = (
    "document_category", "document_set_id", "question_id", "question", "answer", "data_source_filenames",
    "data_source_urls", "input_tokens",
)  # fmt: skip


def row(name, **changes):
    values = {
        "document_category": "Legal",
        "document_set_id": "legal_1",
        "question_id": name,
        "question": "Which year, and\nwhy?",
        "answer": "1999, by law",
        "data_source_filenames": "b.txt;a.txt",
        "data_source_urls": "https://example.org/b;https://example.org/a",
        "input_tokens": "90000",
    }
    return values | changes


def written(folder, *rows, texts="lcr", files=("a.txt", "b.txt"), **settings):
    """A folder in the published form: the CSV, and a text for each document of set legal_1."""
    with (folder / "AA-LCR_Dataset.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    for category, document_set in {(each["document_category"], each["document_set_id"]) for each in rows}:
        place = folder / texts / category / document_set
        place.mkdir(parents=True, exist_ok=True)
        for name in files:
            (place / name).write_text(f" What {name} says.\n", "utf-8")
    return AalcrConfig(path=str(folder), **settings)


@pytest.mark.parametrize("texts", ["lcr", "extracted_text/lcr"])
def test_texts_are_read_as_they_are_in_the_order_of_the_row(tmp_path, texts):
    settings = written(tmp_path, row("1"), texts=texts)
    [question] = read_questions(settings)
    assert (question.category, question.question, question.answer) == (
        "Legal",
        "Which year, and\nwhy?",
        "1999, by law",
    )
    assert Documents(settings).texts(question) == [" What b.txt says.\n", " What a.txt says.\n"]


def test_questions_on_the_same_documents_stand_side_by_side(tmp_path):
    rows = [row("1"), row("2", document_set_id="legal_2"), row("3")]
    questions = read_questions(written(tmp_path, *rows))
    assert [question.name for question in questions] == ["1", "3", "2"]
    assert [question.name for question in read_questions(written(tmp_path, *rows, limit=2))] == ["1", "2"]


@pytest.mark.parametrize(
    ("said", "there"),
    [
        ("Bank's report.txt", "Bank’s report.txt"),
        # As an unpacker names it that takes UTF-8 for the code page of DOS.
        ("Bank's report.txt", "BankΓÇÖs report.txt"),
        ("Işık – 1.txt", "Is╠ºık – 1.txt".replace("ı", "─▒").replace("–", "ΓÇô")),
    ],
)
def test_names_of_files_are_found_however_they_were_unpacked(tmp_path, said, there):
    settings = written(tmp_path, row("1", data_source_filenames=said), files=(there,))
    [question] = read_questions(settings)
    assert Documents(settings).texts(question) == [f" What {there} says.\n"]


def test_other_folders_are_a_line(tmp_path):
    with pytest.raises(UserError, match=r"evaluate.aalcr.path: is missing"):
        read_questions(AalcrConfig())
    with pytest.raises(UserError, match="can't be read"):
        read_questions(AalcrConfig(path=str(tmp_path)))
    with pytest.raises(UserError, match=r"has no folder lcr; unpack AA-LCR_extracted-text.zip"):
        Documents(AalcrConfig(path=str(tmp_path)))
    settings = written(tmp_path, row("1", data_source_filenames="a.txt;c.txt"))
    with pytest.raises(UserError, match=r"has no 'c.txt'"):
        Documents(settings).check(read_questions(settings))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("1"), row("1")], "question_id '1' stands there twice"),
        ([row("1"), row("2", answer=" ")], "row 2 of AA-LCR_Dataset.csv: answer ' ' is not a text"),
        ([], "holds no question"),
    ],
)
def test_other_rows_are_refused(tmp_path, rows, message):
    with pytest.raises(UserError) as found:
        read_questions(written(tmp_path, *rows))
    assert message in str(found.value)
