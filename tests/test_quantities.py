import pytest

from app.quantities import duration, length_label, length_labels, memory, money, short, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown"),
        (9.4, "9s"),
        (127, "2m 07s"),
        (3599.9, "1h 00m"),
        (3900, "1h 05m"),
        (3600 * 47, "47h 00m"),
        (3600 * 50, "2.1 days"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (812.4, "812"), (14_230, "14.2k"), (3_100_000, "3.1M"), (1_000_000_000, "1.0B")],
)
def test_short_numbers(number, text):
    assert short(number) == text


@pytest.mark.parametrize(
    ("num_tokens", "label"),
    [
        (1024, "1k"),
        (4096, "4k"),
        (10240, "10k"),
        (131072, "128k"),
        (1048576, "1M"),
        (1572864, "1.5M"),
        (4194304, "4M"),
        (128000, "128k"),
        (1000000, "1M"),
        (5003, "5,003"),
        (4400, "4.4k"),
        (900, "900"),
        (512, "512"),
    ],
)
def test_lengths_are_short(num_tokens, label):
    assert length_label(num_tokens) == label


def test_two_lengths_never_look_alike():
    assert length_labels([4096, 131072]) == ["4k", "128k"]
    assert length_labels([128000, 131072]) == ["128,000", "131,072"]


def test_files_are_decimal_and_memory_is_binary():
    assert [size(0), size(2e3), size(4.25e9), size(1.5e12)] == ["", "2 kB", "4.2 GB", "1.5 TB"]
    assert [memory(2**30), memory(1.5e12)] == ["1.0 GiB", "1,397.0 GiB"]


def test_money_below_ten_has_its_pence():
    assert [money(None), money(3.456), money(12_345.6)] == ["", "3.46", "12,346"]
