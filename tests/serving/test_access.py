"""The API key: where it comes from, when there must be one, and how it is compared."""

import pytest

from app.config import ServeConfig
from app.faults import UserError
from app.serving.access import digest_of, is_allowed, is_loopback, read_key, require_key

MODELS = {"base": {"model": "bundled:smollm2-135m-instruct"}}


def settings(**changes) -> ServeConfig:
    return ServeConfig.model_validate({"models": MODELS, "api_key_env": "TEST_LONGSTRAP_KEY", **changes})


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
    ],
)
def test_loopback(host, expected):
    assert is_loopback(host) is expected


def test_the_key_of_the_environment_and_of_a_file(monkeypatch, tmp_path):
    assert read_key(settings()) is None
    monkeypatch.setenv("TEST_LONGSTRAP_KEY", "from-environment")
    assert read_key(settings()) == "from-environment"
    file = tmp_path / "key"
    file.write_text("from-file\n")
    assert read_key(settings(api_key_file=str(file))) == "from-file"


@pytest.mark.parametrize("content", [None, "", " \n", "two words", "schlüssel"])
def test_a_file_without_a_key_is_refused(tmp_path, content):
    file = tmp_path / "key"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UserError, match=r"^serve\.api_key_file: "):
        read_key(settings(api_key_file=str(file)))


def test_others_need_a_key():
    with pytest.raises(UserError, match=r"serve\.host: '0\.0\.0\.0'.*TEST_LONGSTRAP_KEY"):
        require_key(settings(host="0.0.0.0"))


@pytest.mark.parametrize(
    ("header", "expected"),
    [(b"Bearer key", True), (b"bearer  key", True), (b"Bearer keys", False), (b"key", False), (None, False)],
)
def test_the_key_is_asked_for(header, expected):
    assert is_allowed(header, digest_of("key")) is expected


def test_no_key_is_asked_for_where_there_is_none():
    assert is_allowed(None, None)


def test_the_digest_does_not_hold_the_key():
    assert b"a-long-key" not in digest_of("a-long-key")
