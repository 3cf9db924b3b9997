"""Both ends of a user's fault's way through Ray."""

import pickle

import pytest
from ray.exceptions import RayTaskError, UserCodeException

from app.cluster.faults import Kept, sent_to_driver, users_faults
from app.faults import UserError, user_error_in


def raise_(error: Exception) -> None:
    raise error


def test_a_users_fault_leaves_the_block_as_it_was_raised():
    inner = RayTaskError("f", "", UserError("field: bad"), "ray::f", 1, "127.0.0.1")
    with pytest.raises(UserError) as raised, users_faults():
        raise inner.as_instanceof_cause()
    assert type(raised.value) is UserError
    assert str(raised.value) == "field: bad"


def test_any_other_error_leaves_the_block_as_ray_raised_it():
    error = RayTaskError("f", "", KeyError("x"), "ray::f", 1, "127.0.0.1")
    with pytest.raises(RayTaskError) as raised, users_faults():
        raise error
    assert raised.value is error


def test_a_users_fault_is_carried_whole_and_others_as_text():
    class UnpicklableError(Exception):
        pass

    carried = {}
    for name, error in (("user's", UserError("field: bad")), ("ours", UnpicklableError("x"))):
        with pytest.raises(UserCodeException) as raised, sent_to_driver():
            raise error
        carried[name] = pickle.loads(pickle.dumps(raised.value))
    assert str(user_error_in(carried["user's"])) == "field: bad"
    assert user_error_in(carried["ours"]) is None
    assert "UnpicklableError" in str(carried["ours"])


def test_a_users_fault_in_a_constructor_waits_for_the_first_call():
    kept = Kept(lambda: raise_(UserError("field: bad")))
    with pytest.raises(UserError, match="field: bad"):
        kept.get()
    assert Kept(lambda: 3).get() == 3


def test_our_own_bug_in_a_constructor_does_not_wait():
    with pytest.raises(KeyError):
        Kept(lambda: raise_(KeyError("x")))
