"""A haystack with many needles, and a question about each: as the evaluation asks, for one reading of the text."""

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from app.config import EvaluateConfig
from app.tokens import Tokenizer
from eval.niah import NiahMaker
from eval.token_text import Ids


@dataclass(frozen=True)
class Haystack:
    """One text, and behind it in the same sequence the questions about it, each with its answer."""

    token_ids: Ids
    """`[tokens]`: the text, then question after question."""
    boundaries: tuple[int, ...]
    """`[tokens of the text, end of the first question, ...]`."""
    answers: tuple[tuple[int, int], ...]
    """For each question, where its answer begins and ends in the sequence."""
    depths_percent: tuple[float, ...]
    """For each question, where its needle stands in the text."""


class QuestionMaker:
    """Haystacks of one length, each with needles from its beginning to its end.

    Needle, question, template and haystack are the evaluation's. A haystack holds several needles with keys of their
    own, and each question asks for one: so one reading of the text answers all.

    Args:
        evaluate: The evaluation's settings, of which `niah` and the template are used.
        tokenizer: Tokenizer of the model that reads.
        seed: Seed of the needles and of where haystacks start.
        length_tokens: Length of the text with one question and its answer, at most.
        num_needles: Needles of a haystack.

    Raises:
        UserError: There is no haystack, or the model has no chat template.
    """

    def __init__(
        self, evaluate: EvaluateConfig, tokenizer: Tokenizer, seed: int, length_tokens: int, num_needles: int
    ) -> None:
        niah = evaluate.niah.model_copy(
            update={"lengths_tokens": [length_tokens], "depths_percent": [0.0], "num_needles": num_needles}
        )
        self._maker = NiahMaker(evaluate.model_copy(update={"niah": niah}), tokenizer, seed)
        self._length_tokens = length_tokens

    def make(self, trial: int) -> Haystack:
        """The haystack of a trial, and its questions.

        Raises:
            UserError: The length is too short for any haystack.
        """
        asked = self._maker.ask_each(trial, self._length_tokens)
        text_tokens = _common([question.token_ids for question in asked])
        # Nothing is asked of a token that the answer follows at once.
        whole = [np.concatenate([each.token_ids, each.answer_ids]) for each in asked]
        ends = [text_tokens, *(len(ids) - text_tokens for ids in whole)]
        boundaries = tuple(accumulate(ends))
        return Haystack(
            np.concatenate([whole[0][:text_tokens], *(ids[text_tokens:] for ids in whole)]),
            boundaries,
            tuple(
                (stop - len(each.answer_ids), stop) for stop, each in zip(boundaries[1:], asked, strict=True)
            ),
            tuple(each.depth_percent for each in asked),
        )


def _common(prompts: list[Ids]) -> int:
    """Number of tokens with which all prompts begin."""
    least = min(map(len, prompts))
    stacked: npt.NDArray[np.int32] = np.stack([ids[:least] for ids in prompts])
    same = (stacked == stacked[0]).all(axis=0)
    return least if same.all() else int(same.argmin())
