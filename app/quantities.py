"""Quantities: bytes in a GiB and in a number, and how durations, sizes, counts and money are written."""

GIB = 2**30


DTYPE_BYTES = {"bfloat16": 2, "float32": 4}


def duration(seconds: float | None) -> str:
    """`1h 05m`, `2m 07s`, `9s`, or `unknown`."""
    if seconds is None:
        return "unknown"
    minutes, sec = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {sec:02}s" if minutes else f"{sec}s"


def short(number: int) -> str:
    """`812`, `14.2k`, `3.1M`."""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)


HOURS_PER_DAY = 24


def long_duration(seconds: float | None) -> str:
    """`3.2 days`, `5h 07m`, `12s`."""
    if seconds is None:
        return ""
    hours = seconds / 3600
    return f"{hours / HOURS_PER_DAY:.1f} days" if hours >= 2 * HOURS_PER_DAY else duration(seconds)


def size(num_bytes: float) -> str:
    """In the decimal units that storage is sold in: `42 GB`."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if num_bytes >= unit:
            return f"{num_bytes / unit:,.1f} {name}"
    return f"{num_bytes / 1e3:,.0f} kB" if num_bytes else ""


def money(amount: float | None) -> str:
    """In the currency of the settings."""
    return "" if amount is None else f"{amount:,.0f}" if amount >= 10 else f"{amount:,.2f}"
