"""qa_1 and qa_2: a question from a dataset, and documents of which one or two contain the answer."""

import random
from collections.abc import Iterator
from functools import cached_property
from itertools import islice

import numpy as np

from app.faults import UserError
from eval.fitting import Sizes, fit
from eval.ruler.definitions import QuestionAnswering
from eval.ruler.drafting import Dice, Draft, TaskFrame
from eval.ruler.ingredients import Ingredients, Question, QuestionSet
from eval.token_text import TokenText

DOCUMENTS_STEP = 10
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
        self._num_shared: dict[int, int] = {}
        """Documents of a prompt by its limit, where all samples have as many."""

    def draft(self, dice: Dice, index: int, limit_tokens: int, length_tokens: int) -> Draft:
        """See `Family`."""
        question = self._data.questions[index % len(self._data.questions)]
        if dice.shared_seed is not None:
            return self._draft_in_shared_order(dice, question, limit_tokens)
        return self._fitted(dice, question, question.evidence, limit_tokens)

    def _fitted(self, dice: Dice, question: Question, evidence: list[int], limit_tokens: int) -> Draft:
        """As many documents as fit."""
        least = len(evidence)
        documents, sizes = self._documents(dice, question, evidence, limit_tokens)
        return fit(lambda size: self._built(dice, question, documents[: least + size]), sizes, limit_tokens)

    def _draft_in_shared_order(self, dice: Dice, question: Question, limit_tokens: int) -> Draft:
        """As many documents as with the first question, or ten less until they fit, as in the reference."""
        if limit_tokens not in self._num_shared:
            # The same whichever sample is made first.
            of_first = Dice(dice.seed, f"first question in {limit_tokens} tokens", dice.shared_seed)
            first = self._data.questions[0]
            fitted = self._fitted(of_first, first, first.together, limit_tokens)
            self._num_shared[limit_tokens] = fitted.facts["num_units"]
        num_all = len(self._data.documents)
        num_documents = self._num_shared[limit_tokens]
        while True:
            if num_documents < num_all:
                incoming = _incoming(dice.stream("documents"), question, question.together, num_all)
                documents = list(islice(incoming, num_documents))
            else:
                documents = [number % num_all for number in range(num_documents)]
            draft = self._built(dice, question, documents)
            if len(draft) <= limit_tokens:
                return draft
            num_documents -= DOCUMENTS_STEP
            if num_documents < len(question.together):
                raise UserError(
                    f"lengths_tokens: {limit_tokens} tokens are too few for the documents of a question; give more"
                )

    def _built(self, dice: Dice, question: Question, documents: list[int]) -> Draft:
        """A prompt with these documents, in the order that the dice decide."""
        head, tail, prefix = self._frame.around(query=question.text)
        chosen = list(documents)
        dice.order("order").shuffle(chosen)
        parts = [self._frame.tokenize(head)]
        for number, document in enumerate(chosen, start=1):
            parts += [self._frame.tokenize(self._title(number)), self._document(document)]
        places = [place for place, document in enumerate(chosen) if document in question.evidence]
        facts = {
            "num_units": len(chosen),
            "num_copies": -(-len(chosen) // len(self._data.documents)),
            "depths_percent": [round(100 * place / len(chosen), 1) for place in places],
        }
        prompt = self._frame.frame.prompt([*parts, self._frame.tokenize(tail)], prefix)
        return Draft(prompt, question.answers, facts)

    def _documents(
        self, dice: Dice, question: Question, evidence: list[int], limit_tokens: int
    ) -> tuple[list[int], Sizes]:
        """More documents than fit, in the order in which they come in, and about how many tokens so many have.

        The first of these numbers is that of the evidence alone.
        """
        chosen: list[int] = []
        sizes: list[int] = []
        total = 0
        num_all = len(self._data.documents)
        for document in _incoming(dice.stream("documents"), question, evidence, num_all):
            chosen.append(document)
            total += self._title_tokens[len(str(len(chosen)))] + len(self._document(document))
            sizes.append(total)
            if total > (1 + _RESERVE) * limit_tokens:
                break
        return chosen, np.array(sizes[len(evidence) - 1 :], np.int64)

    @cached_property
    def _data(self) -> QuestionSet:
        return self._ingredients.squad if self._settings.data == "squad" else self._ingredients.hotpotqa

    @cached_property
    def _title_tokens(self) -> list[int]:
        """Tokens of a document number between two documents, by its number of digits, 0 to 7."""
        around = len(self._frame.tokenize(".")) + len(self._frame.tokenize("The"))
        titles = [self._title(10**num_digits // 10) for num_digits in range(8)]
        return [len(self._frame.tokenize(f".{title}The")) - around for title in titles]

    def _title(self, number: int) -> str:
        title = self._settings.document.format(number=number, document="")
        return title if number == 1 else f"\n\n{title}"

    def _document(self, number: int) -> TokenText:
        if number not in self._tokenized:
            self._tokenized[number] = self._frame.tokenize(self._data.documents[number])
        return self._tokenized[number]


def _incoming(
    rng: random.Random, question: Question, evidence: list[int], num_documents: int
) -> Iterator[int]:
    """Documents by their index: evidence, related ones, all others; and all of them again, without end."""
    related = [document for document in dict.fromkeys(question.related) if document not in evidence]
    rng.shuffle(related)
    first = [*evidence, *related]
    yield from first
    seen = set(first)
    while True:
        while len(seen) < num_documents:
            document = rng.randrange(num_documents)
            if document not in seen:
                seen.add(document)
                yield document
        seen.clear()
