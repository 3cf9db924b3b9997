"""How a user's fault crosses Ray: it leaves a worker and reaches the driver as the `UserError` that was raised."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from ray.exceptions import OutOfMemoryError, UserCodeException

from app.faults import UserError, user_error_in
from app.progress.memory_pressure import REMEDY

Made = TypeVar("Made")


@contextmanager
def users_faults() -> Iterator[None]:
    """Raise a user's fault out of the block as it was raised on the worker; any other error as Ray tells of it."""
    try:
        yield
    except Exception as error:
        fault = user_error_in(error)
        if fault is None and _is_out_of_memory(error):
            raise UserError(f"memory: Ray's memory monitor ended a worker, as {REMEDY}") from error
        if fault is None or fault is error:
            raise
        raise fault from error


def _is_out_of_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OutOfMemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def sent_to_driver() -> Iterator[None]:
    """Wrap errors of the block, a function that Ray Data calls, so that their kind is known on the driver.

    Ray Data's own wrapper loses its cause on the way, so that a user's fault would be text alone. The settings must
    have `raise_original_map_exception`, or that wrapper is put around this one.
    """
    try:
        yield
    except Exception as error:
        # Not every other error can be pickled; Ray sends its traceback along in any case.
        raise UserCodeException(user_error_in(error) or f"{type(error).__name__}: {error}") from error


class Kept(Generic[Made]):
    """What an actor makes in its constructor; a user's fault meanwhile is raised where the value is asked for.

    Of an actor whose constructor fails, Ray sends text alone.
    """

    def __init__(self, make: Callable[[], Made]) -> None:
        self._made: Made | None = None
        self._fault: Exception | None = None
        try:
            self._made = make()
        except Exception as error:
            self._fault = user_error_in(error)
            if self._fault is None:
                raise

    def get(self) -> Made:
        """The value, or the fault."""
        if self._fault is not None:
            raise self._fault
        assert self._made is not None
        return self._made
