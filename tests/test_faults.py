"""Whose fault an error is, told by its type and by the types of what Ray carries in it."""

import pickle

import pytest
from ray.exceptions import ActorDiedError, RayTaskError, UserCodeException
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from app.faults import UserError, user_error_in

FAULT = UserError("field: bad; remedy")


def raised_in_task(cause: Exception) -> RayTaskError:
    """What `ray.get` raises."""
    text = "Traceback (most recent call last):\napp.faults.UserError: field: bad; remedy"
    return RayTaskError("f", text, cause, "ray::f", 1, "127.0.0.1").as_instanceof_cause()


@pytest.mark.parametrize(
    "error",
    [
        FAULT,
        raised_in_task(FAULT),
        raised_in_task(RayTaskError("g", "", FAULT, "ray::g", 1, "127.0.0.1")),
        raised_in_task(UserCodeException(FAULT, "Failed after 1/1 attempts")),
        WorkerGroupError("", {1: RuntimeError("bad"), 0: FAULT}),
        ControllerError(raised_in_task(FAULT)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_users_fault_is_found_in_what_ray_wraps_around_it(error):
    found = user_error_in(error)
    assert type(found) is UserError
    assert str(found) == str(FAULT)


def test_of_several_workers_the_first_users_fault_counts():
    failures = {2: UserError("third"), 0: RuntimeError("no reason"), 1: UserError("second")}
    assert str(user_error_in(WorkerGroupError("", failures))) == "second"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("field: bad; remedy"),
        raised_in_task(ValueError("field: bad; remedy")),
        raised_in_task(UserCodeException("UDF failed: app.faults.UserError: field: bad; remedy")),
        WorkerGroupError(
            "app.faults.UserError: field: bad", {0: RuntimeError("app.faults.UserError: field: bad")}
        ),
        ActorDiedError.from_task_error(
            RayTaskError("f", "ValueError: bad", ValueError("bad"), "p", 1, "127.0.0.1")
        ),
    ],
    ids=lambda error: type(error).__name__,
)
def test_words_make_no_users_fault(error):
    assert user_error_in(error) is None


def test_our_own_error_because_of_a_users_fault_is_ours():
    error = RuntimeError("broken")
    error.__cause__ = FAULT
    assert user_error_in(error) is None
    assert user_error_in(raised_in_task(error)) is None


def test_a_users_fault_is_the_same_after_pickling():
    copy = pickle.loads(pickle.dumps(FAULT))
    assert (type(copy), str(copy)) == (UserError, str(FAULT))
