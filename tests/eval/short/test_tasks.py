from types import SimpleNamespace

import pytest

from app.faults import UserError
from eval.short.bundled import TASKS
from eval.short.tasks import check_tasks, task_names


class Manager:
    """Knows tasks like lm-eval's, each loaded by a function."""

    def __init__(self, **loaders):
        self.task_index = self.loaders = loaders

    def load(self, names):
        (name,) = names
        return {"tasks": self.loaders[name]()}


def task(output_type="generate_until", num_docs=3):
    return SimpleNamespace(OUTPUT_TYPE=output_type, eval_docs=list(range(num_docs)))


def fail(error):
    def load():
        raise error

    return load


def test_the_bundled_tasks_are_asked_where_none_is_named():
    assert task_names([]) == list(TASKS)
    assert task_names(["b", "a", "b"]) == ["b", "a"]


def test_questions_of_all_tasks_of_a_group_are_counted():
    manager = Manager(
        group=lambda: {"a": task(num_docs=3), "b": task(num_docs=4)}, single=lambda: {"single": task()}
    )
    assert check_tasks(manager, ["group", "single"], "chat") == {"group": 7, "single": 3}
    assert check_tasks(manager, ["group", "single"], "chat", num_samples=3) == {"group": 6, "single": 3}


@pytest.mark.parametrize(
    ("name", "api", "message"),
    [
        ("gone", "completions", r"lm-eval has no task 'gone'; `lm-eval ls tasks` lists them"),
        (
            "remote",
            "completions",
            r"the data of remote can't be loaded \(ConnectionError: no hub\); run it where",
        ),
        (
            "extra",
            "completions",
            r"extra needs a package that is not installed \(ModuleNotFoundError: No module .*\); install",
        ),
        (
            "choice",
            "chat",
            r"choice compares log probabilities, which chat endpoints don't give; set evaluate\.api",
        ),
    ],
)
def test_what_cannot_be_asked_is_one_line_that_names_it(name, api, message):
    manager = Manager(
        remote=fail(ConnectionError("no\nhub")),
        extra=fail(ModuleNotFoundError("No module named 'langdetect'")),
        choice=lambda: {"choice": task("multiple_choice")},
    )
    with pytest.raises(UserError, match=rf"^evaluate\.short\.tasks: {message}") as raised:
        check_tasks(manager, [name], api)
    assert "\n" not in str(raised.value)


def test_log_probabilities_are_asked_of_completions():
    manager = Manager(choice=lambda: {"choice": task("multiple_choice")})
    assert check_tasks(manager, ["choice"], "completions") == {"choice": 3}
