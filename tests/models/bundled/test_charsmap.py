import pytest

from app.models.bundled.charsmap import compile_charsmap

normalizers = pytest.importorskip("tokenizers.normalizers")

REPLACEMENTS = {"\u00a0": " ", "\t": " ", "\x01": "", "ﬁ": "fi", "Ⅳ": "IV", "𝐀": "A", "ｱ": "ア", "㎏": "kg"}


def test_replaces_single_characters_and_leaves_the_others():
    normalizer = normalizers.Precompiled(compile_charsmap(REPLACEMENTS))
    assert normalizer.normalize_str("ﬁve\u00a0㎏ \x01𝐀 ｱ Ⅳ é 日本") == "five kg A ア IV é 日本"


def test_every_entry_of_a_large_map_is_found_and_nothing_else():
    replacements = {chr(code): f"<{code}>" for code in range(0x3400, 0x4000, 3)}
    normalizer = normalizers.Precompiled(compile_charsmap(replacements))
    for code in range(0x3300, 0x4100):
        assert normalizer.normalize_str(chr(code)) == replacements.get(chr(code), chr(code))
