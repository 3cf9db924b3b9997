import pytest

from app.endpoints.keys import read_api_key
from app.faults import UserError


@pytest.mark.parametrize("text", ["sk-abc-1234", "sk-abc-1234\n", " sk-abc-1234\r\n"])
def test_white_space_around_a_key_is_cut_off(monkeypatch, text):
    monkeypatch.setenv("A_KEY", text)
    assert read_api_key("generator.api_key_env", "A_KEY") == "sk-abc-1234"


@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_is_no_key(monkeypatch, text):
    monkeypatch.setenv("A_KEY", text)
    assert read_api_key("generator.api_key_env", "A_KEY") is None


@pytest.mark.parametrize("text", ["sk-abc\n1234", "sk-abc 1234", "sk-schlüssel", "sk-abc\x00x"])
def test_what_no_header_can_carry_is_refused_and_not_shown(monkeypatch, text):
    monkeypatch.setenv("A_KEY", text) if "\x00" not in text else monkeypatch.setattr(
        "app.endpoints.keys.read_secret", lambda name: text
    )
    with pytest.raises(UserError, match=r"^generator.api_key_env: A_KEY contains") as raised:
        read_api_key("generator.api_key_env", "A_KEY")
    assert text[:6] not in str(raised.value)
