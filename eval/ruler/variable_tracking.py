"""vt: a value is assigned to a variable and passed from variable to variable, between lines of noise."""

import random
import string
from itertools import pairwise

import numpy as np

from app.faults import UserError
from eval.fitting import fit
from eval.ruler.definitions import VariableTracking
from eval.ruler.drafting import Dice, Draft, Haystacks, TaskFrame
from eval.token_text import TokenText


class VariableChains:
    """Prompts of the task, each with a worked example of its own in front.

    The example stands in the same turn as the question. The reference makes one example and only changes its names and
    its value from sample to sample; here its lines change places, too.
    """

    def __init__(self, frame: TaskFrame, settings: VariableTracking, haystacks: Haystacks) -> None:
        self._frame = frame
        self._settings = settings
        self._haystacks = haystacks

    def draft(self, dice: Dice, index: int, limit_tokens: int, length_tokens: int) -> Draft:
        """See `Family`."""
        rng = dice.stream("variables")
        names = variable_names(rng, self._settings.num_hops + 1, self._settings.num_name_letters)
        value = str(rng.randint(10_000, 99_998))
        chain = [self._frame.tokenize(f"{line}\n") for line in chain_lines(names, value)]
        haystack = self._haystacks.noise.reaching(limit_tokens)
        head, tail, prefix = self._frame.around(query=value, num_variables=len(names))
        before = self._frame.tokenize(f"{self._example(dice)}\n\n{head}")
        behind = self._frame.tokenize(tail.removeprefix("\n"))
        lines = haystack.lines[self._settings.min_lines :]

        def build(index: int) -> Draft:
            num_lines = self._settings.min_lines + index
            places = sorted(dice.stream("places").sample(range(num_lines), len(chain)))
            cuts = [int(haystack.lines[place]) for place in places]
            parts = [before, haystack.tokens.cut(0, cuts[0])]
            for line, start, stop in zip(chain, cuts, [*cuts[1:], int(lines[index])], strict=True):
                parts += [line, haystack.tokens.cut(start, stop)]
            facts = {
                "num_units": num_lines,
                "num_copies": num_lines,
                "depths_percent": [round(100 * place / num_lines, 1) for place in places],
            }
            return Draft(self._frame.frame.prompt([*parts, behind], prefix), names, facts)

        return fit(build, lines, limit_tokens)

    def _example(self, dice: Dice) -> str:
        """A small question and its answer."""
        rng = dice.stream("example")
        names = variable_names(rng, self._settings.num_hops + 1, self._settings.num_example_letters)
        value = str(rng.randint(10_000, 99_998))
        chain = chain_lines(names, value)
        noise = self._haystacks.noise.reaching(self._settings.example_tokens).tokens.text.splitlines()

        def build(index: int) -> TokenText:
            lines = noise[: self._settings.min_lines + index]
            places = sorted(dice.stream("example places").sample(range(len(lines)), len(chain)))
            for num_before, (place, line) in enumerate(zip(places, chain, strict=True)):
                lines.insert(place + num_before, line)
            context = "\n".join(lines)
            return self._frame.tokenize(self._frame.text(context, query=value, num_variables=len(names)))

        sizes = self._haystacks.noise.reaching(self._settings.example_tokens).lines[
            self._settings.min_lines :
        ]
        try:
            example = fit(build, np.asarray(sizes), self._settings.example_tokens)
        except UserError:
            # Of a tokenizer with short tokens; the reference takes the least lines then, too.
            example = build(0)
        return f"{example.text} {' '.join(names)}"


def variable_names(rng: random.Random, num_names: int, num_letters: int) -> list[str]:
    """Different names, none of which is the word that stands before each of them."""
    names: dict[str, None] = {}
    while len(names) < num_names:
        name = "".join(rng.choices(string.ascii_uppercase, k=num_letters))
        if name != "VAR":
            names[name] = None
    return list(names)


def chain_lines(names: list[str], value: str) -> list[str]:
    """Assignments that pass a value on. All but the first end in a blank, as in the reference."""
    return [
        f"VAR {names[0]} = {value}",
        *(f"VAR {name} = VAR {before} " for before, name in pairwise(names)),
    ]
