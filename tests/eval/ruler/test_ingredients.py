import pytest

from app.config import RulerConfig, cache_dir
from app.faults import UserError
from eval.ruler.definitions import TASKS
from eval.ruler.ingredients import Ingredients
from tests.eval.prompt_tokenizers import write_ingredients


@pytest.fixture
def nothing_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("LONGSTRAP_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path):
    return write_ingredients(tmp_path / "data")


@pytest.mark.usefixtures("nothing_cached")
@pytest.mark.parametrize(
    ("name", "tasks"),
    [
        ("squad.json", {"qa_1"}),
        ("hotpotqa.json", {"qa_2"}),
        ("english_words.json", {"cwe"}),
        ("verblist.txt", {"cwe"}),
        ("nounlist.txt", {"cwe", *(task for task in TASKS if task.startswith("niah"))}),
        (
            "PaulGrahamEssays.json",
            {"niah_single_2", "niah_single_3", "niah_multikey_1", "niah_multivalue", "niah_multiquery"},
        ),
    ],
)
def test_tasks_say_which_file_they_miss_and_what_to_do(data, name, tasks):
    (data / name).unlink()
    ingredients = Ingredients(RulerConfig(data=str(data)))
    for task in TASKS:
        if task in tasks:
            with pytest.raises(
                UserError,
                match=rf"ruler\.tasks: {task} needs {name}, .* run `python -m app\.models\.bundled ruler`",
            ):
                ingredients.check([task])
        else:
            ingredients.check([task])


@pytest.mark.usefixtures("nothing_cached")
def test_only_two_tasks_need_nothing():
    ingredients = Ingredients(RulerConfig())
    ingredients.check(["vt", "fwe"])
    assert set(ingredients.digests().values()) == {None}
    for task in set(TASKS) - {"vt", "fwe"}:
        with pytest.raises(UserError, match=task):
            ingredients.check([task])


@pytest.mark.usefixtures("nothing_cached")
def test_a_file_of_the_folder_comes_before_the_cached_one(tmp_path):
    write_ingredients(cache_dir() / "ruler")
    own = tmp_path / "own"
    own.mkdir()
    (own / "nounlist.txt").write_text("zebra\n")
    ingredients = Ingredients(RulerConfig(data=str(own)))
    ingredients.check(TASKS)
    assert ingredients.nouns == ["zebra"]
    assert len(ingredients.squad.documents) == 40


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"ruler\.data: '.*nowhere' is not a folder"):
        Ingredients(RulerConfig(data=str(tmp_path / "nowhere")))


def test_questions_know_where_they_are_answered(data):
    ingredients = Ingredients(RulerConfig(data=str(data)))
    squad = ingredients.squad
    assert len(squad.questions) == 40
    question = squad.questions[7]
    assert question.text == "Which number has the ship of wind?"
    assert question.answers == ["12", "number 12"]
    assert [squad.documents[index][:23] for index in question.evidence] == ["Article 1, paragraph 2:"]
    assert {squad.documents[index][:9] for index in question.related} == {"Article 1"}
    assert len(question.related) == 4
    hotpot = ingredients.hotpotqa
    question = hotpot.questions[3]
    assert [hotpot.documents[index].split("\n")[0] for index in question.evidence] == [
        "Title 3-1",
        "Title 3-3",
    ]
    assert [hotpot.documents[index].split("\n")[0] for index in question.related] == [
        "Title 3-0",
        "Title 3-2",
    ]
    assert hotpot.documents == sorted(set(hotpot.documents))


def test_words_have_no_blanks_at_their_ends(data):
    ingredients = Ingredients(RulerConfig(data=str(data)))
    assert ingredients.adjectives == ["eager", "calm", "yellow", "blue-eyed"]
    assert ingredients.list_words == sorted(set(ingredients.list_words))
    assert {"sail", "harbor", "calm"} <= set(ingredients.list_words)
