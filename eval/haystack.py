"""The text that needles are hidden in: tokenized once, cut at words and sentences, repeated only if necessary."""

import re
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.faults import UserError, one_line
from app.text.sentences import sentence_borders
from app.tokens import Tokenizer
from eval.token_text import TokenText, join, tokenize

Borders = npt.NDArray[np.int64]
_BREAK = re.compile(r"\n")
_SPACE = re.compile(r"\s+")


class Haystack:
    """A text that is repeated as often as a length takes, with the places where it may be cut.

    A place is a number of tokens: the haystack up to it is `cut(0, place)`.

    Args:
        tokenizer: Tokenizer of the model.
        text: Not empty.
        separator: Between two copies, where one is not enough.
    """

    def __init__(self, tokenizer: Tokenizer, text: str, separator: str) -> None:
        assert text
        self._tokenizer = tokenizer
        self._text = text
        self._separator = separator
        self._doubled: list[RepeatedText] = []

    @staticmethod
    def of_prose(tokenizer: Tokenizer, text: str) -> "Haystack":
        """Words one blank apart, as RULER has its essays; control tokens of the chat template are taken out.

        Raises:
            UserError: No word is left.
        """
        text = _SPACE.sub(" ", tokenizer.without_control_tokens(text)).strip()
        if not text:
            raise UserError("haystack: holds no words; give files with text")
        return Haystack(tokenizer, text, separator=" ")

    @staticmethod
    def of_lines(tokenizer: Tokenizer, line: str) -> "Haystack":
        """A haystack of one line repeated, each copy with its line break."""
        return Haystack(tokenizer, f"{line}\n", separator="")

    @cached_property
    def num_tokens(self) -> int:
        """Tokens of one copy."""
        return len(self._doubling(0).tokens)

    def num_copies(self, num_tokens: int) -> int:
        """Approximate number of copies needed for that many tokens; 1 if the text is long enough."""
        return max(-(-num_tokens // self.num_tokens), 1)

    def reaching(self, num_tokens: int) -> "RepeatedText":
        """The haystack repeated to at least that many tokens: one copy, two, four, eight, ..."""
        level = 0
        while len((found := self._doubling(level)).tokens) < num_tokens:
            level += 1
        return found

    def _doubling(self, level: int) -> "RepeatedText":
        if level == len(self._doubled):
            if level == 0:
                tokens = tokenize(self._tokenizer, self._text)
            else:
                half = self._doubled[level - 1].tokens
                tokens = join(self._tokenizer, [half, tokenize(self._tokenizer, self._separator), half])
            self._doubled.append(RepeatedText(tokens))
        return self._doubled[level]


class RepeatedText:
    """One or more copies of a haystack, and the positions where it may be cut, ascending from its beginning."""

    def __init__(self, tokens: TokenText) -> None:
        self.tokens = tokens

    @cached_property
    def lines(self) -> Borders:
        """Positions after line breaks."""
        return self._places(
            np.fromiter((match.end() for match in _BREAK.finditer(self.tokens.text)), np.int64)
        )

    @cached_property
    def words(self) -> Borders:
        """Positions after words, before the blank, and after sentences in scripts without blanks."""
        blanks = np.fromiter((match.start() for match in _SPACE.finditer(self.tokens.text)), np.int64)
        return np.union1d(self._places(blanks), self.sentences)

    @cached_property
    def sentences(self) -> Borders:
        """Positions after sentences, before the blank if there is one."""
        text = self.tokens.text
        borders = sentence_borders(text)
        has_blank = np.fromiter((text[border - 1].isspace() for border in borders), np.bool_, len(borders))
        return self._places(borders - has_blank)

    @staticmethod
    def last_up_to(places: Borders, place: int) -> int:
        """The last of the places that is no further than this one; 0: there is none."""
        index = int(np.searchsorted(places, place, side="right")) - 1
        return int(places[index]) if index >= 0 else 0

    def _places(self, positions: Borders) -> Borders:
        """Positions in the text → numbers of tokens, and the whole; those that no token ends at are left out."""
        ends = self.tokens.ends
        index = np.searchsorted(ends, positions, side="right")
        is_border = (index > 0) & (ends[np.maximum(index - 1, 0)] == positions)
        return np.unique(np.concatenate([[0], index[is_border], [len(ends)]])).astype(np.int64)


def read_text(field: str, path: str) -> str:
    """All text of a file, a folder or a glob of text files, one after another by name.

    Args:
        field: The setting that names it.
        path: What it says.

    Raises:
        UserError: There is none, or it is not text.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        files = sorted(file for file in place.rglob("*") if file.suffix in (".txt", ".md", ".rst"))
    elif place.is_file():
        files = [place]
    else:
        pattern = place.name
        files = sorted(place.parent.glob(pattern)) if place.parent.is_dir() else []
    if not files:
        raise UserError(f"{field}: {path!r} holds no text; give a file, a folder of .txt or .md, or a glob")
    try:
        return "\n\n".join(file.read_text("utf-8") for file in files)
    except (OSError, UnicodeDecodeError) as error:
        reason = one_line(error)
        raise UserError(f"{field}: {path!r} can't be read as text ({reason}); give UTF-8 text") from error
