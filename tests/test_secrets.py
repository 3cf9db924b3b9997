import logging
import subprocess
import sys

import pytest

from app.secrets import MaskingRecords, conceal, mask

SECRET = "sk-planted-0123456789"


@pytest.fixture
def concealed(monkeypatch):
    factory, hook = logging.getLogRecordFactory(), sys.excepthook
    monkeypatch.setattr("threading.excepthook", None)
    monkeypatch.setattr("sys.excepthook", hook)
    logging.setLogRecordFactory(logging.LogRecord)
    conceal(SECRET)
    yield
    logging.setLogRecordFactory(factory)


def test_logs_of_any_library_are_masked(concealed, caplog):
    logger = logging.getLogger("aiohttp.some.client")
    logger.warning("headers: %s", {"Authorization": f"Bearer {SECRET}"})
    logger.warning(f"key={SECRET}")
    try:
        raise RuntimeError(f"refused Bearer {SECRET}")
    except RuntimeError:
        logger.exception("failed")
    assert SECRET not in caplog.text
    assert caplog.text.count("***") == 3
    assert "RuntimeError: refused Bearer ***" in caplog.text


def test_other_records_stay_as_they_are(concealed):
    record = logging.getLogRecordFactory()("n", logging.INFO, "p", 1, "%d rows", (3,), None)
    assert (record.msg, record.args) == ("%d rows", (3,))


def test_several_secrets_are_masked_the_longest_first(concealed):
    conceal(SECRET + "-longer")
    assert mask(f"{SECRET}-longer and {SECRET}") == "*** and ***"
    assert isinstance(logging.getLogRecordFactory(), MaskingRecords)


def test_a_word_in_place_of_a_key_masks_nothing(concealed):
    conceal("none")
    assert mask("none of it") == "none of it"


@pytest.mark.parametrize(
    "end", ["raise ValueError(key)", "thread = T(target=lambda: 1 / int(key)); thread.start()"]
)
def test_tracebacks_of_a_process_are_masked(end):
    code = f"from threading import Thread as T; from app.secrets import conceal; key = '{SECRET}'; conceal(key); {end}"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ValueError: " in found.stderr
    # The line of the code is shown only where there is a file.
    assert SECRET not in found.stderr.replace(code, "")
