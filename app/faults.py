"""Faults that the user can mend, told apart from our own by their type."""


class UserError(ValueError):
    """Something that the user can mend: a setting, a file, a machine, an endpoint.

    The message is one line: the field, its value, what is wrong with it, and what would be right.
    """


def one_line(error: BaseException) -> str:
    """The words of another library's error, on one line."""
    return " ".join(str(error).split())
