import pytest

from benchmarks.plan_page import PAGE, render_page


@pytest.mark.slow
def test_the_page_is_what_the_code_says():
    assert PAGE.read_text("utf-8") == render_page(), "run `python -m benchmarks.plan_page`"
