"""vt as it was until May 2025: assignments stand within the lines of noise, and all samples have the same example."""

from dataclasses import replace

from eval.fitting import fit
from eval.haystack import Haystack
from eval.ruler.definitions import NOISE_LINE, VariableTracking
from eval.ruler.drafting import Dice, Draft, TaskFrame
from eval.ruler.variable_tracking import chain_lines, variable_names

ANSWER_TOKENS = 30
"""For which the example leaves room, too."""
LINES_STEP = 5
"""The example grows by so many lines of noise."""


class InlineVariableChains:
    """Prompts of the task in the text of 2024.

    Lines of noise and assignments are joined by blanks, and only noise ends in a line break. The example has lost its
    line breaks around the noise and its question's last word. What differs: it has ten lines of noise at least, where
    the script splits the lines of a tokenizer with short tokens at their full stops.
    """

    def __init__(self, frame: TaskFrame, settings: VariableTracking) -> None:
        self._frame = frame
        self._settings = settings
        self._noise = Haystack.of_lines(frame.frame.tokenizer, f" {NOISE_LINE}")

    def draft(self, dice: Dice, index: int, limit_tokens: int, length_tokens: int) -> Draft:
        """See `Family`."""
        rng = dice.stream("variables")
        names = variable_names(rng, self._settings.num_hops + 1, self._settings.num_name_letters)
        value = str(rng.randint(10_000, 99_998))
        chain = [f" {line}" for line in chain_lines(names, value)]
        haystack = self._noise.reaching(limit_tokens)
        head, tail, prefix = self._frame.around(query=value, num_variables=len(names))
        before = f" {self._example(dice.seed)}\n\n\n\n{head}"
        behind = self._frame.tokenize(tail)
        least = self._settings.min_lines + 1
        lines = haystack.lines[least:]

        def build(index: int) -> Draft:
            num_lines = least + index
            places = sorted(dice.stream("places").sample(range(num_lines), len(chain)))
            cuts = [int(haystack.lines[place]) for place in places]
            # The first blank of all joins nothing.
            noise = haystack.tokens.cut(0, cuts[0])
            first, rest = (noise.text, chain) if cuts[0] else (chain[0], chain[1:])
            parts = [self._frame.tokenize(before + first[1:])]
            if not cuts[0]:
                parts.append(haystack.tokens.cut(0, cuts[1]))
                cuts = cuts[1:]
            for line, start, stop in zip(rest, cuts, [*cuts[1:], int(lines[index])], strict=True):
                parts += [self._frame.tokenize(line), haystack.tokens.cut(start, stop)]
            facts = {
                "num_units": num_lines,
                "num_copies": num_lines,
                "depths_percent": [round(100 * place / num_lines, 1) for place in places],
            }
            return Draft(self._frame.frame.prompt([*parts, behind], prefix), names, facts)

        return fit(build, lines, limit_tokens)

    def _example(self, seed: int) -> str:
        """A small question and its answer, the same for all samples."""
        dice = Dice(seed, "vt example of 2024")
        rng = dice.stream("variables")
        names = variable_names(rng, self._settings.num_hops + 1, self._settings.num_example_letters)
        value = str(rng.randint(10_000, 99_998))
        chain = chain_lines(names, value)
        head, tail, _ = self._frame.around(query=value, num_variables=len(names))
        prefix = self._frame.task.answer_prefix.format(query=value, num_variables=len(names))
        question = " ".join(tail.split()[:-1])
        text = ""
        num_lines = 2 * LINES_STEP
        while True:
            lines = [f"{NOISE_LINE}\n"] * num_lines
            places = sorted(dice.stream("places").sample(range(num_lines), len(chain)))
            for num_before, (place, line) in enumerate(zip(places, chain, strict=True)):
                lines.insert(place + num_before, line)
            longer = f"{' '.join(head.split())} {' '.join(lines)} {question}{prefix}"
            counted = len(self._frame.tokenize(f"{longer} {names}"))
            if text and counted + ANSWER_TOKENS > self._settings.example_tokens:
                return f"{text} {' '.join(names)}"
            text = longer
            num_lines += LINES_STEP


def misspelt(frame: TaskFrame) -> TaskFrame:
    """The task's texts as they were: the start of the reply had a typing error."""
    prefix = frame.task.answer_prefix.replace("assigned", "assgined")
    return replace(frame, task=replace(frame.task, answer_prefix=prefix))
