import json
import pickle

import pytest

from app.config import EvaluateConfig
from app.faults import UserError
from eval.helmet.maker import HelmetMaker
from tests.eval.helmet.helmet_files import LENGTH, needle, question, ranking, value, written
from tests.eval.prompt_tokenizers import digit_groups

NEEDLE = """A special magic numbers is hidden within the following text. Make sure to memorize it. I will quiz \
you about the numbers afterwards.
One of the special magic numbers for key-1 is: 111.
What is the special magic numbers for key-1 mentioned in the provided text?"""
NEEDLES = """Some special magic numbers are hidden within the following text. Make sure to memorize it. I will quiz \
you about the numbers afterwards.
One of the special magic numbers for key-1 is: 111.
What are all the special magic numbers for key-1 mentioned in the provided text?"""
VALUE = """{"k": "v"}

Extract the value corresponding to the specified key in the JSON object below.

Key: d1
Corresponding value: v1

Key: d2
Corresponding value: v2

Key: key-1"""
DOCUMENTS = """Use the given documents to write a concise and short answer to the question. Write your answer in the \
following format:
Answer: [answer]

Document (Title: T c): Text c.

Question: Who is 7?
Answer: Mr 7

Document (Title: T a): Text a.

Document (Title: T b): Text b.

Question: Who is 1?"""
RANKING = """You are provided with a list of documents, each indicated by their ID. Rank each document based on their \
relevance to the question in descending order from most relelvant to least relevant texts. Include all documents in \
the rankings. Write your answer using the unique IDs, with the following format:
Ranking: ID3 > ID1 > ID2

[ID: 11] Document (Title: T 11): Text 11.

[ID: 12] Document (Title: T 12): Text 12.

[ID: 13] Document (Title: T 13): Text 13.

Query: What is 7?
Ranking: 12 > 13 > 11

[ID: 11] Document (Title: T 11): Text 11.

[ID: 12] Document (Title: T 12): Text 12.

[ID: 13] Document (Title: T 13): Text 13.

Query: What is 1?"""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return digit_groups(tmp_path_factory.mktemp("tokenizer"))


def made(tokenizer, settings, template="chat"):
    maker = pickle.loads(
        pickle.dumps(HelmetMaker(EvaluateConfig(helmet=settings, template=template), tokenizer, 0))
    )
    return [maker.make(slot) for slot in maker.slots()]


CASES = [
    ("ruler_niah_mk_2", needle(1), [], NEEDLE, "The special magic numbers for key-1 mentioned in the provided text is"),
    ("ruler_niah_mv", needle(1), [], NEEDLES, "The special magic numbers for key-1 mentioned in the provided text are"),
    ("json_kv", value(1), [], VALUE, "Corresponding value:"),
    ("kilt_nq", question(1), [question(7, ctxs=[{"title": "T c", "text": "Text c."}])], DOCUMENTS, "Answer:"),
    ("msmarco_rerank_psg", ranking(1), [ranking(7)], RANKING, "Ranking:"),
]  # fmt: skip


@pytest.mark.parametrize(("task", "row", "demos", "prompt", "start"), CASES)
def test_the_prompts_are_the_published_ones(tmp_path, tokenizer, task, row, demos, prompt, start):
    settings = written(tmp_path, task, [row], demos)
    [chat] = made(tokenizer, settings)
    assert (chat.content, chat.answer_prefix, chat.facts["start"]) == (prompt, "", "")
    [plain] = made(tokenizer, settings, "base")
    assert tokenizer.decode(plain.token_ids.tolist()) == f"{prompt}\n{start}"
    assert (plain.content, plain.facts["start"]) == (prompt, start)
    assert plain.length_tokens == LENGTH


def test_a_long_context_loses_its_end(tmp_path, tokenizer):
    row = needle(1) | {
        "context": "In the beginning. " + "On and on they sailed. " * 3000 + "At the very end."
    }
    [sample] = made(tokenizer, written(tmp_path, "ruler_niah_mk_3", [row]))
    assert LENGTH - 2 <= sample.num_tokens <= LENGTH
    assert sample.facts["num_cut_tokens"] > 0
    assert "\nIn the beginning." in sample.content
    assert "At the very end." not in sample.content
    assert sample.content.endswith("mentioned in the provided text?")


def test_a_row_without_room_for_its_context_is_a_line(tmp_path, tokenizer):
    long = question(7, ctxs=[{"title": "T c", "text": "On and on. " * 4000}])
    with pytest.raises(UserError, match=r"'Who is 1\?' leaves no room for its context"):
        made(tokenizer, written(tmp_path, "kilt_nq", [question(1)], [long]))


def test_ids_change_with_the_row_and_with_its_examples(tmp_path, tokenizer):
    def ids(rows, demos):
        settings = written(tmp_path, "kilt_nq", rows, demos)
        return [slot.sample_id for slot in HelmetMaker(EvaluateConfig(helmet=settings), tokenizer, 0).slots()]

    first = ids([question(1), question(2)], [question(7)])
    assert ids([question(1), question(3)], [question(7)])[0] == first[0]
    assert ids([question(1), question(3)], [question(7)])[1] != first[1]
    assert ids([question(1), question(2)], [question(8)])[0] != first[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "row 1 of test_k105_dep6.jsonl: is not JSON"),
        ("[]", "row 1 of test_k105_dep6.jsonl: is not an object"),
        (json.dumps({"context": "x"}), "a row has no question"),
        ("", "holds no row"),
    ],
)
def test_other_files_are_refused(tmp_path, tokenizer, line, message):
    settings = written(tmp_path, "json_kv", [])
    (tmp_path / "json_kv" / "test_k105_dep6.jsonl").write_text(line + "\n")
    with pytest.raises(UserError) as found:
        made(tokenizer, settings)
    assert message in str(found.value)
