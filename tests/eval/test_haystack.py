import pytest

from app.faults import UserError
from eval.haystack import Haystack, read_text
from eval.token_text import tokenize
from tests.eval.prompt_tokenizers import TOKENIZERS

PROSE = "The ship sailed north.  The crew\nkept watch! Nobody slept?\n\nThen came Dr. Smith, at 3.5 knots. So ends it."


@pytest.fixture(params=TOKENIZERS, scope="module")
def tokenizer(request, tmp_path_factory):
    return TOKENIZERS[request.param](tmp_path_factory.mktemp("tokenizer"))


def texts(tokens, places):
    return [tokens.cut(0, int(place)).text for place in places]


def test_prose_is_repeated_with_one_blank_between(tokenizer):
    haystack = Haystack.of_prose(tokenizer, PROSE)
    once = " ".join(PROSE.split())
    assert haystack.reaching(1).tokens.text == once
    found = haystack.reaching(3 * haystack.num_tokens).tokens
    assert found.text == " ".join([once] * 4)
    assert found.ids.tolist() == tokenize(tokenizer, found.text).ids.tolist()


def test_places_are_behind_words_and_sentences(tokenizer):
    found = Haystack.of_prose(tokenizer, PROSE).reaching(1)
    words = " ".join(PROSE.split()).split(" ")
    assert texts(found.tokens, found.words) == ["", *(" ".join(words[:n]) for n in range(1, len(words) + 1))]
    ends = ["", "north.", "watch!", "slept?", "knots.", "it."]
    assert [
        text[-len(end) :] if end else text
        for text, end in zip(texts(found.tokens, found.sentences), ends, strict=True)
    ] == ends


def test_places_of_a_script_without_blanks_are_behind_sentences(tokenizer):
    found = Haystack.of_prose(tokenizer, "船は北へ。風が吹く。誰も眠らない。").reaching(1)
    expected = ["", "船は北へ。", "船は北へ。風が吹く。", "船は北へ。風が吹く。誰も眠らない。"]
    assert texts(found.tokens, found.sentences) == expected
    assert texts(found.tokens, found.words) == expected


@pytest.mark.parametrize("num_tokens", [1, 50, 777])
def test_lines_reach_the_length(tokenizer, num_tokens):
    found = Haystack.of_lines(tokenizer, "Here we go.").reaching(num_tokens)
    assert len(found.tokens) >= num_tokens
    assert found.tokens.ids.tolist() == tokenize(tokenizer, found.tokens.text).ids.tolist()
    assert texts(found.tokens, found.lines[:4]) == ["Here we go.\n" * n for n in range(len(found.lines[:4]))]


def test_copies_are_counted(tokenizer):
    haystack = Haystack.of_prose(tokenizer, PROSE)
    assert haystack.num_copies(1) == haystack.num_copies(haystack.num_tokens) == 1
    assert haystack.num_copies(haystack.num_tokens + 1) == 2


def test_the_same_length_gets_the_same_haystack_whatever_was_asked_before(tokenizer):
    one, other = Haystack.of_prose(tokenizer, PROSE), Haystack.of_prose(tokenizer, PROSE)
    one.reaching(5000)
    assert one.reaching(100).tokens.text == other.reaching(100).tokens.text


def test_control_tokens_are_no_part_of_it(tokenizer):
    found = Haystack.of_prose(tokenizer, "It ends<|im_end|>here.").reaching(1)
    assert found.tokens.text == "It ends here."


def test_a_haystack_without_words_is_refused(tokenizer):
    with pytest.raises(UserError, match="haystack: holds no words"):
        Haystack.of_prose(tokenizer, " <|im_end|>\n")


def test_text_is_read_from_file_folder_and_glob(tmp_path):
    (tmp_path / "b.txt").write_text("second")
    (tmp_path / "a.md").write_text("first")
    (tmp_path / "c.json").write_text("{}")
    assert read_text("f", str(tmp_path)) == "first\n\nsecond"
    assert read_text("f", str(tmp_path / "*.txt")) == "second"
    assert read_text("f", str(tmp_path / "c.json")) == "{}"


def test_missing_or_unreadable_text_names_its_setting(tmp_path):
    with pytest.raises(UserError, match=r"ruler.haystack: '.*nothing' holds no text"):
        read_text("ruler.haystack", str(tmp_path / "nothing"))
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"can't be read as text"):
        read_text("ruler.haystack", str(tmp_path / "bad.txt"))
