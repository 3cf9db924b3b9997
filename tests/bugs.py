"""Bugs that raise a plain ValueError, as any code of ours may have them."""


def read_no_number() -> int:
    return int("x")


def unpack_too_little() -> str:
    first, _ = ("one",)  # type: ignore[misc]
    return first


def zip_unequal() -> list[tuple[int, int]]:
    return list(zip([1, 2], [1], strict=True))


BUGS = (read_no_number, unpack_too_little, zip_unequal)
