"""Checks of lm-eval's tasks by name: that they exist, that their data is available, and that the endpoint can run
them.
"""

from collections.abc import Sequence
from typing import Any, Literal

from app.faults import UserError, one_line
from eval.short.bundled import DATA, TASKS

_WRITTEN = "generate_until"
_SENTENCE_SPLITTER = "tokenizers/punkt_tab"
_NEEDS_SENTENCE_SPLITTER = ("ifeval", "leaderboard_ifeval")


def task_names(tasks: Sequence[str]) -> list[str]:
    """Tasks and groups to be asked, each once; the bundled ones where none is named."""
    return list(dict.fromkeys(tasks)) or list(TASKS)


def task_manager(names: Sequence[str]) -> Any:
    """The `lm_eval.tasks.TaskManager` that knows the bundled tasks, and lm-eval's own where they are asked for.

    Reading the thousands of task files that lm-eval brings takes a while.
    """
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=DATA, include_defaults=any(name not in TASKS for name in names))


def check_tasks(
    manager: Any, names: Sequence[str], api: Literal["completions", "chat"], num_samples: int | None = None
) -> dict[str, int]:
    """Load each task once, before anything is asked.

    Args:
        manager: Knows them.
        names: Tasks and groups.
        api: API of the endpoint.
        num_samples: Most samples per task. None: all.

    Returns:
        How many questions each has.

    Raises:
        UserError: lm-eval knows no such task, its data cannot be had, or the API cannot answer it.
    """
    return {name: _check_task(manager, name, api, num_samples) for name in names}


def _check_task(manager: Any, name: str, api: str, num_samples: int | None) -> int:
    if name not in manager.task_index:
        raise UserError(
            f"evaluate.short.tasks: lm-eval has no task {name!r}; `lm-eval ls tasks` lists them, and an empty list "
            f"runs the bundled set"
        )
    if name in _NEEDS_SENTENCE_SPLITTER:
        _check_sentence_splitter(name)
    # Whatever a data set's loader, a hub or a task's own code raises.
    try:
        tasks = manager.load([name])["tasks"]
    except ImportError as error:
        raise UserError(
            f"evaluate.short.tasks: {name} needs a package that is not installed ({_line(error)}); install it, or "
            f"leave the task out"
        ) from error
    except Exception as error:
        raise UserError(
            f"evaluate.short.tasks: the data of {name} can't be loaded ({_line(error)}); run it where the Hugging Face "
            f"hub is reachable or HF_HOME holds the data, or leave short.tasks empty for the bundled set"
        ) from error
    for task in tasks.values():
        if api == "chat" and task.OUTPUT_TYPE != _WRITTEN:
            raise UserError(
                f"evaluate.short.tasks: {name} compares log probabilities, which chat endpoints don't give; set "
                f"evaluate.api to completions, or leave the task out"
            )
    sizes = [len(task.eval_docs) for task in tasks.values()]
    return sum(size if num_samples is None else min(size, num_samples) for size in sizes)


def _check_sentence_splitter(name: str) -> None:
    """IFEval needs it only once all is asked, and its own download fails in silence."""
    import nltk

    try:
        nltk.data.find(_SENTENCE_SPLITTER)
    except LookupError as error:
        if not nltk.download("punkt_tab", quiet=True):
            raise UserError(
                f"evaluate.short.tasks: {name} needs NLTK's punkt_tab, which is not there and can't be downloaded; put "
                f"it into a folder of NLTK_DATA, or leave the task out"
            ) from error


def _line(error: BaseException) -> str:
    """Kind and reason of an error in one line."""
    return f"{type(error).__name__}: {one_line(error)}"[:200]
