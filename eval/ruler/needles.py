"""The eight needle tasks: facts hidden in noise, in essays, or among other facts."""

import random
import uuid

from eval.fitting import fit
from eval.haystack import RepeatedText
from eval.ruler.definitions import NEEDLE, Needles
from eval.ruler.drafting import Dice, Draft, Haystacks, TaskFrame
from eval.ruler.ingredients import Ingredients
from eval.token_text import TokenText

DEPTHS_PERCENT = [round(100 * step / 39) for step in range(40)]
"""Where needles may stand in essays, of its sentences."""
_PROBED_LINES = 32


class NeedlesInHaystack:
    """Prompts of one needle task.

    Essays always begin at their beginning and are repeated where they are too short, as in the reference. Needles have
    distinct keys, which none of the needles around them has: the reference leaves that to chance.
    """

    def __init__(
        self, frame: TaskFrame, needles: Needles, ingredients: Ingredients, haystacks: Haystacks
    ) -> None:
        self._frame = frame
        self._needles = needles
        self._ingredients = ingredients
        self._haystacks = haystacks

    def draft(self, dice: Dice, index: int, limit_tokens: int, length_tokens: int) -> Draft:
        """See `Family`."""
        rng = dice.stream("needles")
        keys = self._keys(rng, self._needles.num_keys)
        values = {key: [self._value(rng) for _ in range(self._needles.num_values)] for key in keys}
        hidden = [(key, value) for key in keys for value in values[key]]
        rng.shuffle(hidden)
        asked = rng.sample(keys, self._needles.num_queries)
        references = [value for key in asked for value in values[key]]
        hide = self._hide_in_essays if self._needles.haystack == "essays" else self._hide_in_lines
        return hide(dice, hidden, asked, references, limit_tokens)

    def _hide_in_essays(
        self,
        dice: Dice,
        hidden: list[tuple[str, str]],
        asked: list[str],
        references: list[str],
        limit_tokens: int,
    ) -> Draft:
        haystack = self._haystacks.essays.reaching(limit_tokens)
        depths = sorted(dice.stream("depths").sample(DEPTHS_PERCENT, len(hidden)))
        needles = [self._frame.tokenize(f" {self._line(*pair)}") for pair in hidden]
        depth_of = {value: depth for (_, value), depth in zip(hidden, depths, strict=True)}
        head, tail, prefix = self._around(asked)
        blank = self._frame.tokenize(" ")
        words, sentences = haystack.words, haystack.sentences

        def build(num_words: int) -> Draft:
            end = int(words[num_words])
            # The last sentence is cut off where the haystack ends.
            num_sentences = int(sentences.searchsorted(end)) if end else 0
            places = [int(num_sentences * depth / 100) for depth in depths]
            cuts = [end if place == num_sentences else int(sentences[place]) for place in places]
            parts = [head, haystack.tokens.cut(0, cuts[0])]
            for needle, start, stop in zip(needles, cuts, [*cuts[1:], end], strict=True):
                # Other stretches begin with their own blank.
                begins_bare = start in (0, stop)
                parts += [needle, *([blank] if begins_bare else []), haystack.tokens.cut(start, stop)]
            facts = {
                "num_units": num_words,
                "num_copies": self._haystacks.essays.num_copies(end),
                "depths_percent": [depth_of[value] for value in references],
            }
            return Draft(self._frame.frame.prompt([*parts, tail], prefix), references, facts)

        return fit(build, words, limit_tokens)

    def _hide_in_lines(
        self,
        dice: Dice,
        hidden: list[tuple[str, str]],
        asked: list[str],
        references: list[str],
        limit_tokens: int,
    ) -> Draft:
        assert len(hidden) == 1
        key, value = hidden[0]
        if self._needles.haystack == "noise":
            haystack, num_copies = self._haystacks.noise.reaching(limit_tokens), None
        else:
            haystack, num_copies = self._other_needles(dice, key, limit_tokens), 1
        depth = dice.stream("depths").random()
        needle = self._frame.tokenize(f"{self._line(key, value)}\n")
        head, tail, prefix = self._around(asked)
        lines = haystack.lines[1:]

        def build(index: int) -> Draft:
            num_lines = index + 1
            line = int(depth * num_lines)
            start, end = int(haystack.lines[line]), int(lines[index])
            parts = [head, haystack.tokens.cut(0, start), needle, haystack.tokens.cut(start, end), tail]
            facts = {
                "num_units": num_lines,
                "num_copies": num_lines if num_copies is None else num_copies,
                "depths_percent": [round(100 * line / num_lines, 1)],
            }
            return Draft(self._frame.frame.prompt(parts, prefix), references, facts)

        return fit(build, lines, limit_tokens)

    def _other_needles(self, dice: Dice, hidden_key: str, num_tokens: int) -> RepeatedText:
        """Needles that nobody asks for, at least so many tokens of them."""
        rng = dice.stream("haystack")
        lines: list[str] = []
        num_lines = _PROBED_LINES
        while True:
            while len(lines) < num_lines:
                (key,) = self._keys(rng, 1)
                if key != hidden_key:
                    lines.append(f"{self._line(key, self._value(rng))}\n")
            tokens = self._frame.tokenize("".join(lines))
            if len(tokens) >= num_tokens:
                return RepeatedText(tokens)
            num_lines = int(1.01 * num_tokens * num_lines / len(tokens)) + _PROBED_LINES

    def _around(self, asked: list[str]) -> tuple[TokenText, TokenText, str]:
        query = asked[0] if len(asked) == 1 else f"{', '.join(asked[:-1])}, and {asked[-1]}"
        is_one = self._needles.num_queries * self._needles.num_values == 1
        kind = self._needles.values.removesuffix("s") if is_one else self._needles.values
        head, tail, prefix = self._frame.around(type=kind, query=query)
        if self._needles.haystack != "essays":
            # Lines bring it along.
            tail = tail.removeprefix("\n")
        return self._frame.tokenize(head), self._frame.tokenize(tail), prefix

    def _line(self, key: str, value: str) -> str:
        return NEEDLE.format(type=self._needles.values, key=key, value=value)

    def _keys(self, rng: random.Random, num_keys: int) -> list[str]:
        keys: dict[str, None] = {}
        while len(keys) < num_keys:
            if self._needles.keys == "uuids":
                keys[_uuid(rng)] = None
            else:
                adjective = rng.choice(self._ingredients.adjectives)
                keys[f"{adjective}-{rng.choice(self._ingredients.nouns)}"] = None
        return list(keys)

    def _value(self, rng: random.Random) -> str:
        return _uuid(rng) if self._needles.values == "uuids" else str(rng.randint(1_000_000, 9_999_999))


def _uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
