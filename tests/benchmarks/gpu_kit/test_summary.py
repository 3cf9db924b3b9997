import pytest

from benchmarks.gpu_kit.records import Record
from benchmarks.gpu_kit.summary import figures_of, row_of

SMALL = "Llama-3.2-1B"


def cell(side, tokens, rate, documents=None, status="measured", kernel="flash", step="training"):
    values = {
        "side": side,
        "model": SMALL,
        "num_tokens": tokens,
        "document_tokens": documents,
        "kernel": kernel,
        "keeps_attention": True,
        "tokens_per_sec": rate,
        "mfu": 0.5,
        "peak_bytes": 2**30,
    }
    return Record(
        step, f"{side} {tokens} {documents} {kernel}", status, values if status == "measured" else {}
    )


def test_cells_are_compared_with_plain_transformers():
    figures = figures_of(
        [
            cell("plain", 32768, 10.0),
            cell("plain", 65536, 0.0, status="out of memory"),
            cell("project", 32768, 15.0),
            cell("project", 32768, 20.0, kernel="cudnn"),
            cell("project", 131072, 12.0),
            cell("project", 1048576, 11.0, documents=8192, step="longest"),
        ]
    )
    assert figures[f"longest_over_plain_{SMALL}"] == 32
    assert figures[f"speed_over_plain_{SMALL}_32k"] == pytest.approx(2.0)
    assert figures[f"mfu_project_{SMALL}_128k"] == 0.5
    assert figures[f"tokens_per_sec_project_{SMALL}_32k_cudnn"] == 20.0
    assert not [name for name in figures if "1024k" in name]


def test_the_worst_error_of_any_case_is_the_figure():
    records = [
        Record("exact", key, "measured", {"worst": worst}) for key, worst in (("a", 0.003), ("b", 0.004))
    ]
    assert figures_of(records) == {"exact_worst_error": 0.004}


def test_needles_are_shares():
    record = Record("extension", "needles of 32k at 32768", "measured", {"num_found": 36, "num_asked": 40})
    assert figures_of([record]) == {"needles_of_32k_at_32768_percent": 90.0}


def test_what_was_not_measured_says_why():
    assert row_of(Record("rates", "a", "skipped", {"reason": "no time"})) == "rates, a: skipped (no time)"
