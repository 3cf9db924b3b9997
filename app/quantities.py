"""Quantities: bytes per GiB and per number, and the text form of counts, lengths, bytes, durations and money.

All that a person reads of them is written here, so that a kind of quantity has one notation.
"""

from collections.abc import Mapping

GIB = 2**30
DTYPE_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}
_DAY_SEC = 24 * 3600


def duration(seconds: float | None) -> str:
    """`3.2 days`, `1h 05m`, `2m 07s`, `9s`, or `unknown`."""
    if seconds is None:
        return "unknown"
    if seconds >= 2 * _DAY_SEC:
        return f"{seconds / _DAY_SEC:,.1f} days"
    minutes, sec = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {sec:02}s" if minutes else f"{sec}s"


def tally(counts: Mapping[str, int]) -> str:
    """`bad JSON 3, empty 1,200`, by name."""
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))


def short(number: float) -> str:
    """How many there are of something: `812`, `14.2k`, `3.1M`, `1.6B`."""
    number = round(number)
    for size, unit in ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)


def length_label(num_tokens: int) -> str:
    """`4096` → `4k`, `131072` → `128k`, `1048576` → `1M`, `128000` → `128k`, `4400` → `4.4k`, `5003` → `5,003`."""
    for k, m in ((1000, 1_000_000), (1024, 1024**2)):
        if num_tokens % (m // 2) == 0:
            return f"{num_tokens / m:g}M" if num_tokens >= m else f"{num_tokens // k}k"
        if num_tokens % k == 0:
            return f"{num_tokens // k}k"
    return f"{num_tokens / 1000:g}k" if num_tokens > 1000 and num_tokens % 100 == 0 else f"{num_tokens:,}"


def length_labels(lengths_tokens: list[int]) -> list[str]:
    """Short ones, unless two lengths of 128k are meant."""
    labels = [length_label(length) for length in lengths_tokens]
    return labels if len(set(labels)) == len(labels) else [f"{length:,}" for length in lengths_tokens]


def size(num_bytes: float) -> str:
    """Of files, in the decimal units that storage is sold in: `42.0 GB`; nothing for 0."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if num_bytes >= unit:
            return f"{num_bytes / unit:,.1f} {name}"
    return f"{num_bytes / 1e3:,.0f} kB" if num_bytes else ""


def memory(num_bytes: float) -> str:
    """In the binary unit that memory is built in: `39.1 GiB`."""
    return f"{num_bytes / GIB:,.1f} GiB"


def money(amount: float | None) -> str:
    """In the currency of the settings; nothing for None."""
    return "" if amount is None else f"{amount:,.0f}" if amount >= 10 else f"{amount:,.2f}"
