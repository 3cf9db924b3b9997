"""Structure tasks: right keys, seen by a program that reads the messages alone; exact lengths; the same each time."""

import asyncio
import json
import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from app.checkers import score_turns
from app.config import DatasetConfig
from app.dataset.layout import OMISSION, SEPARATOR
from app.dataset.results import example_row
from app.dataset.structure.making import PROGRAM, StructureMaker
from app.dataset.structure.material import Material, is_usable, replace_range
from app.dataset.structure.recall import Recall
from app.dataset.structure.tasks import STRUCTURE_VERSION, structure_tasks
from app.schema import ContextDocument, Example, Passage, Reject, Seed, passage_id_of
from app.training.data.tokenization import TARGET_BITS, tokenize_chat
from benchmarks.structure_reading import is_confirmed, read_answers
from tests.dataset.test_assembly import make_byte_level
from tests.training.tiny_tokenizers import save_chatml

TARGET_TOKENS = 3000
NAMES = ("recall", "order", "missing", "repeats", "count", "mentions")
SUBJECTS = [
    "river",
    "valley",
    "harbour",
    "orchard",
    "mountain",
    "village",
    "castle",
    "meadow",
    "forest",
    "bridge",
    "market",
    "garden",
]
VERBS = ["crossed", "flooded", "bordered", "sheltered", "divided", "enriched", "followed"]
RARE = ["Ormsby", "Tindale", "Farrant", "Quillon", "Barstow", "Melrick", "Hesper", "Wexcombe"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return make_byte_level(tmp_path_factory.mktemp("byte_level"))


def sentence(rng):
    words = [rng.choice(SUBJECTS) for _ in range(rng.randint(8, 14))]
    words.insert(3, rng.choice(VERBS))
    if rng.random() < 0.1:
        words.insert(5, rng.choice(RARE))
    return f"{' '.join(words).capitalize()} {rng.randrange(10**6)}."


def make_document(index, tokenizer, num_passages=3):
    rng = random.Random(index)
    passages, start = [], 0
    for number in range(num_passages):
        text = "".join(" ".join(sentence(rng) for _ in range(2)) + "\n\n" for _ in range(3))
        passage_id = passage_id_of(f"d{index}", number)
        passages.append(
            Passage(passage_id, f"d{index}", start, start + len(text), tokenizer.count(text), text)
        )
        start += len(text)
    return ContextDocument(f"d{index}", f"Title of {index}", passages, 1.0)


@pytest.fixture(scope="module")
def documents(tokenizer):
    return [make_document(index, tokenizer) for index in range(9)]


def make_seed(task, index=0, target_tokens=TARGET_TOKENS):
    return Seed(f"structure-{index}", index, "structure", task, "d0", "d0:00000", "", target_tokens, index)


class Examples:
    """Examples by task and index, each made when it is first asked for."""

    def __init__(self, tokenizer, documents):
        self._maker, self._documents = StructureMaker(tokenizer, 10_000), documents
        self._made = {}

    def make(self, task, index):
        seed = make_seed(task, index, TARGET_TOKENS + 101 * index)
        return self._maker.make(seed, self._documents)

    def __getitem__(self, name):
        if name not in self._made:
            self._made[name] = self.make(*name)
        assert isinstance(self._made[name], Example), self._made[name]
        return self._made[name]


@pytest.fixture(scope="module")
def examples(tokenizer, documents):
    return Examples(tokenizer, documents)


@pytest.fixture(
    params=[(task, index) for task in NAMES for index in range(2)], ids=lambda name: f"{name[0]}-{name[1]}"
)
def example(request, examples):
    return examples[request.param]


def keys_of(example):
    key = example.task_data.answer_key
    return key if example.task_data.checker == "turns" else [key]


def test_the_tasks_are_those_of_the_settings(tokenizer):
    assert set(structure_tasks(tokenizer)) == set(NAMES)
    assert set(DatasetConfig.model_fields["structure_task_weights"].default) == set(NAMES)


def test_each_key_is_what_a_reader_of_the_messages_finds(example):
    assert read_answers(example.messages) == keys_of(example)


def test_the_reader_disagrees_with_a_wrong_key(example):
    wrong = {"turns": lambda key: [*key[1:], key[0]], "number": lambda key: key + 1}
    task = example.task_data
    spoilt = replace(task, answer_key=wrong.get(task.checker, lambda key: key[::-1])(task.answer_key))
    assert is_confirmed(example.messages, task)
    assert not is_confirmed(example.messages, spoilt)


def test_each_answer_gets_the_full_score_and_another_one_does_not(example):
    replies = [turn["content"] for turn in example.messages if turn["role"] == "assistant"]
    assert score_turns(replies, example.task_data) == 1.0
    assert score_turns(["0, 77" for _ in replies], example.task_data) == 0.0


def test_lengths_are_exact(example, tokenizer):
    index = int(example.example_id[-1])
    assert example.num_tokens == TARGET_TOKENS + 101 * index == tokenizer.count_chat(example.messages)


def test_evidence_is_located_and_no_model_is_named(example):
    assert example.kind == "structure"
    assert example.evidence
    assert all(0.0 <= each.depth < 1.0 for each in example.evidence)
    assert (example.generator, example.prompt_version) == (PROGRAM, STRUCTURE_VERSION)
    assert example.messages[0]["content"].endswith(SEPARATOR + example.instruction)


@pytest.mark.parametrize("task", NAMES)
def test_the_same_seed_gives_the_same_example_and_another_one_another(task, examples):
    assert examples.make(task, 0) == examples[task, 0]
    assert examples[task, 0].messages != examples[task, 1].messages


def test_recall_asks_ten_questions_about_all_depths(examples):
    for index in range(2):
        example = examples["recall", index]
        assert [turn["role"] for turn in example.messages] == ["user", "assistant"] * 10
        documents = example.messages[0]["content"].removesuffix(example.instruction)
        places = sorted(documents.index(value) / len(documents) for value in keys_of(example))
        assert places[0] < 0.25
        assert places[-1] > 0.7
        assert max(later - earlier for earlier, later in pairwise(places)) < 0.35


def test_all_answers_of_recall_are_learned(tmp_path, examples):
    messages = examples["recall", 0].messages
    tokenizer = save_chatml(tmp_path)
    row = tokenize_chat(tokenizer, messages)
    learned = (row.target_bits & TARGET_BITS["response"]) != 0
    assert not row.no_response
    assert tokenizer.decode(row.tokens[learned].tolist()) == "".join(
        f"{turn['content']}<|im_end|>" for turn in messages if turn["role"] == "assistant"
    )


def test_a_short_context_has_fewer_statements(tokenizer, documents):
    seed = make_seed("recall", target_tokens=1500)
    draft = Recall(tokenizer).make(Material(seed, documents, frozenset(), random.Random(1)))
    assert 2 + len(draft.follow_up) == 2 * (1500 // 200)


def test_a_target_that_the_question_fills_is_a_reject(tokenizer, documents):
    reject = StructureMaker(tokenizer, 10_000).make(make_seed("recall", target_tokens=700), documents)
    assert isinstance(reject, Reject)
    assert (reject.step, reject.reason) == ("structure", "question exceeds target")


def test_a_passage_is_removed_once_and_only_it(examples, documents):
    for index in range(2):
        example = examples["missing", index]
        content = example.messages[0]["content"]
        assert content.count("[A passage was removed here.]") == 2, "in the documents and in the question"


def test_the_reader_reads_the_documents(examples):
    recall, repeats = examples["recall", 0], examples["repeats", 0]
    statement, number = recall.task_data.answer_key[0], repeats.task_data.answer_key[0]
    content = recall.messages[0]["content"]
    changed = [{"role": "user", "content": content.replace(statement, "nothing")}, *recall.messages[1:]]
    assert not is_confirmed(changed, recall.task_data)
    blocks = repeats.messages[0]["content"].split(SEPARATOR)
    beginning = repeats.instruction.split("“")[1].split(" …")[0].split()[0]
    blocks[number - 1] = blocks[number - 1].replace(beginning, "Gone")
    changed = [{"role": "user", "content": SEPARATOR.join(blocks)}, *repeats.messages[1:]]
    assert not is_confirmed(changed, repeats.task_data)


def test_too_few_documents_and_nothing_to_ask_are_rejects(tokenizer, documents):
    maker = StructureMaker(tokenizer, 10_000)
    reject = maker.make(make_seed("order"), documents[:1])
    assert isinstance(reject, Reject)
    assert (reject.step, reject.reason, reject.detail) == (
        "structure",
        "documents do not fill target",
        "order",
    )
    text = "漢" * 100
    passages = [
        Passage(passage_id_of("d", index), "d", 100 * index, 100 * index + 100, tokenizer.count(text), text)
        for index in range(20)
    ]
    alone = [ContextDocument("d", "", passages, 1.0)]
    reject = maker.make(make_seed("mentions"), alone)
    assert isinstance(reject, Reject)
    assert (reject.step, reject.reason) == ("structure", "no fitting word")


def test_a_document_that_looks_like_the_frame_is_left_out(documents, tokenizer):
    passage = documents[0].passages[0]
    for text in ("One.\n\n---\n\nTwo.", "Document 7\n\nOf another.", "---\n\nTwo."):
        assert not is_usable(replace(documents[0], passages=[replace(passage, text=text)]))
    assert is_usable(documents[0])


def test_text_is_replaced_where_it_stands_across_passages(documents):
    document = documents[0]
    text, first = document.text, document.passages[0].text
    start, end = len(first) - 10, len(first) + 7
    changed = replace_range(document, start, end, "NEW", "new", 1)
    assert changed.text == text[:start] + "NEW" + text[end:]
    assert Counter(passage.passage_id for passage in changed.passages)["new"] == 1
    assert changed.gaps == document.gaps == []
    for place in (0, 5, len(first), len(text)):
        changed = replace_range(document, place, place, "NEW", "new", 1)
        assert changed.text == text[:place] + "NEW" + text[place:]
        # Else the message would mark where the text was changed.
        assert changed.gaps == []


@pytest.mark.parametrize("task", NAMES)
def test_nothing_marks_the_places_of_the_answers(examples, task):
    assert OMISSION.strip() not in examples[task, 0].messages[0]["content"]


def test_no_unit_reaches_over_what_retrieval_left_out(documents):
    document = documents[0]
    apart = replace(
        document,
        passages=[
            replace(
                passage,
                start_char=passage.start_char + 1000 * index,
                end_char=passage.end_char + 1000 * index,
            )
            for index, passage in enumerate(document.passages)
        ],
    )
    gaps = apart.gaps
    assert len(gaps) == len(document.passages) - 1 > 0
    units = Material(make_seed("order"), [apart], frozenset(), random.Random(0)).units(0, 1, 500)
    assert units
    assert not any(unit.start_char < gap < unit.end_char for unit in units for gap in gaps)


def test_retrieval_asks_again_with_longer_stretches_where_short_ones_do_not_fill(tokenizer, documents):
    asked = []

    async def retrieve(query, num_tokens, document_tokens):
        asked.append((query, num_tokens, document_tokens))
        return documents[:1] if len(asked) == 1 else documents

    seed = replace(make_seed("count"), text="What the passage says.")
    found = asyncio.run(StructureMaker(tokenizer, 2500).retrieve(seed, retrieve))
    assert found == documents
    assert asked == [(seed.text, 3449, 500), (seed.text, 3449, 2500)]


def test_the_row_holds_the_key_as_json(examples):
    row = example_row(examples["repeats", 0])
    assert json.loads(row["task_data"]) == {
        "answer_key": examples["repeats", 0].task_data.answer_key,
        "answer_type": "set",
        "checker": "set",
        "num_hops": 1,
        "num_needed_documents": len(examples["repeats", 0].task_data.answer_key),
        "difficulty": None,
    }
    assert row["verification"] is None
