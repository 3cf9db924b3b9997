"""The type of faults that the user can fix; everything else is our own bug."""

from collections.abc import Iterator


class UserError(ValueError):
    """Something that the user can fix: a setting, a file, a machine, an endpoint.

    The message is one line: the field, its value, what is wrong with it, and what would be right.
    """


def user_error_in(error: BaseException) -> UserError | None:
    """The user's fault that an error is, or that Ray carries in an error of its own; None: the fault is ours.

    Only Ray's own errors are seen through. What our code or a library raises because of a user's fault counts by its
    own type. Of several workers' errors, the first user's fault counts.
    """
    if type(error).__module__.partition(".")[0] != "ray":
        return error if isinstance(error, UserError) else None
    return next((found for each in _carried_by(error) if (found := user_error_in(each)) is not None), None)


def _carried_by(error: BaseException) -> Iterator[BaseException]:
    """The errors inside one of Ray's, wherever its classes keep them."""
    by_rank = getattr(error, "worker_failures", {})
    inner = [getattr(error, "cause", None), *(by_rank[rank] for rank in sorted(by_rank))]
    inner += [getattr(error, "controller_failure", None), *error.args, error.__cause__]
    yield from (each for each in inner if isinstance(each, BaseException) and each is not error)


def one_line(error: BaseException) -> str:
    """The words of another library's error, on one line."""
    return " ".join(str(error).split())
