"""Weaves statements into a haystack, between its sentences."""

from collections.abc import Iterator, Sequence

from app.tokens import Tokenizer
from eval.haystack import RepeatedText
from eval.token_text import TokenText, tokenize


def weave(
    tokenizer: Tokenizer, text: RepeatedText, end: int, placed: Sequence[tuple[float, str]]
) -> Iterator[TokenText]:
    """The haystack's first tokens, up to the end of a sentence, with the statements between its sentences.

    Args:
        tokenizer: Tokenizer of the haystack.
        text: The haystack.
        end: Tokens of it.
        placed: Depths, 0 to 1, ascending, and the statement at each.
    """
    done = 0
    is_first = True
    for depth, statement in [*placed, (1.0, "")]:
        place = text.last_up_to(text.sentences, int(depth * end))
        for piece in (text.tokens.cut(done, place), tokenize(tokenizer, statement)):
            if not piece.text:
                continue
            # A stretch of the haystack brings the blank in front of it along, unless it is the beginning.
            if not (is_first or piece.text[0].isspace()):
                yield tokenize(tokenizer, " ")
            yield piece
            is_first = False
        done = place
