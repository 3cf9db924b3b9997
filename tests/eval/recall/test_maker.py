import pickle
from itertools import groupby

import numpy as np
import pytest

from app.config import EvaluateConfig, RecallConfig
from app.faults import UserError
from eval.recall.facts import load_facts
from eval.recall.maker import RecallMaker
from eval.samples import Slot
from tests.training.tiny_tokenizers import save_chatml, save_llama

TEXT = "\n\n".join(
    f"On the {n}th day the ship sailed on before the wind. The crew of {n} men kept watch by turns, and nobody slept."
    for n in range(400)
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return save_chatml(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def text_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "ship.txt"
    path.write_text(TEXT, "utf-8")
    return path


def maker(tokenizer, text_file, seed=0, template="chat", **recall):
    settings = RecallConfig(
        **{"lengths_tokens": [1500, 3000], "num_samples": 6, "haystack": str(text_file), **recall}
    )
    return RecallMaker(EvaluateConfig(recall=settings, template=template), tokenizer, seed)


@pytest.fixture(scope="module")
def samples(tokenizer, text_file):
    made = maker(tokenizer, text_file)
    return {(slot.task, slot.length_tokens, slot.index): made.make(slot) for slot in made.slots()}


def decoded(tokenizer, sample):
    return tokenizer._hf.decode(sample.token_ids)


def test_each_question_is_asked_in_every_variant_and_length(samples):
    for index in range(6):
        for kind in ("fact", "chain"):
            of_question = [s for (task, _, i), s in samples.items() if i == index and task.startswith(kind)]
            assert sorted((s.facts["variant"], s.length_tokens) for s in of_question) == [
                ("changed", 1500),
                ("changed", 3000),
                ("closed", 560),
                ("true", 1500),
                ("true", 3000),
            ]
            assert len({s.facts["item"] for s in of_question}) == 1


def test_prompts_fill_their_length_and_never_more(samples):
    for sample in samples.values():
        assert sample.num_tokens <= sample.length_tokens
        if sample.facts["variant"] != "closed":
            # A sentence of the haystack has fewer tokens than this.
            assert sample.num_tokens > sample.length_tokens - 60


def test_the_text_holds_what_the_facts_say(tokenizer, samples):
    by_item = {fact.item: fact for fact in load_facts()}
    for (_, length, index), sample in samples.items():
        facts, prompt = sample.facts, decoded(tokenizer, sample)
        if facts["kind"] != "fact":
            continue
        fact = by_item[facts["item"]]
        assert fact.question in prompt
        assert facts["remembered_answers"][0] == fact.answer
        if facts["variant"] == "closed":
            assert "ship" not in prompt
            assert sample.references == facts["remembered_answers"]
            assert facts["context_answers"] == []
            continue
        said = facts["context_answers"][0]
        assert sample.references == facts["context_answers"]
        assert prompt.count(fact.state(said)) == 1
        assert (said == fact.answer) == (facts["variant"] == "true")
        if facts["variant"] == "changed":
            assert fact.answer not in prompt
        # The same place in both variants, about where it was drawn.
        assert facts["depths_percent"] == samples["fact_true", length, index].facts["depths_percent"]
        body = prompt.partition("follows.\n\n")[2].partition("\n\nUsing only")[0]
        place = 100 * body.index(fact.state(said)) / len(body)
        assert place == pytest.approx(facts["depths_percent"][0], abs=8)


def test_chains_stand_in_the_text_in_order(tokenizer, samples):
    for (task, length, index), sample in samples.items():
        if not task.startswith("chain") or task.endswith("closed"):
            continue
        prompt = decoded(tokenizer, sample)
        assert prompt.count("lives in the town of") == prompt.count("lies in the province of") == 4
        assert sample.references[0] in prompt
        other = samples["chain_true" if "changed" in task else "chain_changed", length, index]
        assert other.references != sample.references
        # The wrong answer stands there too.
        assert other.references[0] in prompt


def test_statements_and_sentences_are_one_blank_apart(tokenizer, samples):
    for sample in samples.values():
        body = decoded(tokenizer, sample).partition("follows.\n\n")[2].partition("\n\nUsing only")[0]
        assert "  " not in body
        assert ".T" not in body
        assert ".I" not in body
        assert body == body.strip()


def test_tokens_are_those_of_the_whole_text(tokenizer, samples):
    for sample in samples.values():
        assert tokenizer.encode(decoded(tokenizer, sample)) == sample.token_ids.tolist()


def test_the_reply_is_begun_behind_the_template(tokenizer, text_file, tmp_path, samples):
    assert decoded(tokenizer, samples["fact_true", 1500, 0]).endswith("<|im_start|>assistant\nAnswer:")
    llama = save_llama(tmp_path)
    base = maker(llama, text_file, template="base").make(Slot("fact_changed", 1500, 0))
    assert base.token_ids[0] == llama.leading_id
    assert decoded(llama, base).endswith("?\nAnswer:")


def test_deepest_first_and_runs_of_one_task(tokenizer, text_file):
    slots = maker(tokenizer, text_file).slots()
    runs = [key for key, _ in groupby((slot.task, slot.length_tokens) for slot in slots)]
    assert len(runs) == len(set(runs)) == 2 + 2 * 4
    made = maker(tokenizer, text_file)
    depths = [
        made.make(s).facts["depths_percent"][0]
        for s in slots
        if (s.task, s.length_tokens) == ("fact_true", 3000)
    ]
    assert depths == sorted(depths, reverse=True)
    assert len(set(depths)) == 6


def test_seeds_and_slots_decide(tokenizer, text_file):
    slot = Slot("fact_changed", 1500, 3)
    again = pickle.loads(pickle.dumps(maker(tokenizer, text_file))).make(slot)
    first = maker(tokenizer, text_file, num_samples=2, lengths_tokens=[9000]).make(slot)
    assert np.array_equal(again.token_ids, first.token_ids)
    other = maker(tokenizer, text_file, seed=1).make(slot)
    assert other.facts != first.facts


def test_identity_follows_the_text(tokenizer, text_file, tmp_path):
    identity = maker(tokenizer, text_file).identity()
    assert identity == maker(tokenizer, text_file, lengths_tokens=[700]).identity()
    (tmp_path / "other.txt").write_text(TEXT + "\n\nThe capital of France is Paris.", "utf-8")
    other = maker(tokenizer, tmp_path / "other.txt").identity()
    assert {name for name in identity if identity[name] != other[name]} == {"text", "facts"}


def test_more_questions_than_facts_come_round_with_other_answers(tokenizer, text_file):
    num = len(load_facts())
    made = maker(tokenizer, text_file, num_samples=num + 3, lengths_tokens=[1500])
    slots = made.slots()
    assert sum(slot.task == "fact_closed" for slot in slots) == num
    first, second = (made.make(Slot("fact_changed", 1500, index)) for index in (0, num))
    assert first.facts["item"] == second.facts["item"]
    assert first.facts["depths_percent"] != second.facts["depths_percent"]


def test_a_text_that_states_everything_is_refused(tokenizer, tmp_path):
    facts = " ".join(fact.state(fact.answer) for fact in load_facts())
    (tmp_path / "all.txt").write_text(facts, "utf-8")
    with pytest.raises(UserError, match=r"evaluate\.recall\.haystack: states every fact"):
        maker(tokenizer, tmp_path / "all.txt").slots()


def test_a_length_without_room_is_refused(tokenizer, text_file):
    with pytest.raises(UserError, match="lengths_tokens: 60 tokens are too few"):
        maker(tokenizer, text_file).make(Slot("fact_true", 108, 0))
