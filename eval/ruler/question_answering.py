"""qa_1 and qa_2: a question from a dataset, and documents of which one or two contain the answer."""

import random
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from eval.fitting import Sizes, fit
from eval.ruler.definitions import QuestionAnswering
from eval.ruler.drafting import Dice, Draft, TaskFrame
from eval.ruler.ingredients import Ingredients, Question, QuestionSet
from eval.token_text import TokenText

_RESERVE = 0.1
"""Documents may have fewer tokens side by side than alone: so much more of them is kept ready."""


class DocumentQuestions:
    """Prompts of one of the tasks: sample i asks the data set's question i.

    Documents come in as in the reference: the evidence, related ones, others by chance; where there are more places
    than documents, all of them as often as it takes. Then they are shuffled.
    """

    def __init__(self, frame: TaskFrame, settings: QuestionAnswering, ingredients: Ingredients) -> None:
        self._frame = frame
        self._settings = settings
        self._ingredients = ingredients
        self._tokenized: dict[int, TokenText] = {}

    def draft(self, dice: Dice, index: int, limit_tokens: int, length_tokens: int) -> Draft:
        """See `Family`."""
        data = self._ingredients.squad if self._settings.data == "squad" else self._ingredients.hotpotqa
        question = data.questions[index % len(data.questions)]
        head, tail, prefix = self._frame.around(query=question.text)
        before, behind = self._frame.tokenize(head), self._frame.tokenize(tail)
        least = len(question.evidence)
        documents, sizes = self._documents(dice, data, question, limit_tokens)

        def build(size: int) -> Draft:
            chosen = documents[: least + size]
            dice.stream("order").shuffle(chosen)
            parts = [before]
            for number, document in enumerate(chosen, start=1):
                parts += [self._frame.tokenize(self._title(number)), self._document(data, document)]
            places = [place for place, document in enumerate(chosen) if document in question.evidence]
            facts = {
                "num_units": len(chosen),
                "num_copies": -(-len(chosen) // len(data.documents)),
                "depths_percent": [round(100 * place / len(chosen), 1) for place in places],
            }
            return Draft(self._frame.frame.prompt([*parts, behind], prefix), question.answers, facts)

        return fit(build, sizes, limit_tokens)

    def _documents(
        self, dice: Dice, data: QuestionSet, question: Question, limit_tokens: int
    ) -> tuple[list[int], Sizes]:
        """More documents than fit, in the order in which they come in, and about how many tokens so many have.

        The first of these numbers is that of the evidence alone.
        """
        chosen: list[int] = []
        sizes: list[int] = []
        total = 0
        for document in _incoming(dice.stream("documents"), question, len(data.documents)):
            chosen.append(document)
            total += self._title_tokens[len(str(len(chosen)))] + len(self._document(data, document))
            sizes.append(total)
            if total > (1 + _RESERVE) * limit_tokens:
                break
        least = len(question.evidence)
        return chosen, np.array(sizes[least - 1 :], np.int64)

    @cached_property
    def _title_tokens(self) -> list[int]:
        """Tokens of a document number between two documents, by its number of digits, 0 to 7."""
        around = len(self._frame.tokenize(".")) + len(self._frame.tokenize("The"))
        titles = [self._title(10**num_digits // 10) for num_digits in range(8)]
        return [len(self._frame.tokenize(f".{title}The")) - around for title in titles]

    def _title(self, number: int) -> str:
        title = self._settings.document.format(number=number, document="")
        return title if number == 1 else f"\n\n{title}"

    def _document(self, data: QuestionSet, number: int) -> TokenText:
        if number not in self._tokenized:
            self._tokenized[number] = self._frame.tokenize(data.documents[number])
        return self._tokenized[number]


def _incoming(rng: random.Random, question: Question, num_documents: int) -> Iterator[int]:
    """Documents by their index: evidence, related ones, all others; and all of them again, without end."""
    related = list(dict.fromkeys(question.related))
    rng.shuffle(related)
    first = [*question.evidence, *related]
    yield from first
    seen = set(first)
    while True:
        while len(seen) < num_documents:
            document = rng.randrange(num_documents)
            if document not in seen:
                seen.add(document)
                yield document
        seen.clear()
