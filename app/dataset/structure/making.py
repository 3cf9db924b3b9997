"""Seed → structure example: retrieve documents near the seed passage, let a program ask, fit the exact length."""

import random

from app.agent.workflow import Retrieve
from app.dataset.assembly import assemble
from app.dataset.fitting import whole_chat
from app.dataset.layout import lay_out
from app.dataset.structure.filling import Filling, fill, recount
from app.dataset.structure.material import Material
from app.dataset.structure.tasks import STRUCTURE_VERSION, structure_tasks
from app.schema import ContextDocument, Draft, Example, Reject, Seed
from app.tokens import Tokenizer

MAX_ROUNDS = 5
RETRIEVED_SHARE = 1.15
"""Tokens to retrieve, as a share of the target: some documents may be unusable."""
PROGRAM = "program"
"""What stands as the generator of an example that no model wrote."""


class StructureMaker:
    """Makes structure examples without any LLM call.

    Args:
        tokenizer: The trained model's.
        document_tokens: Most tokens taken from one document, `agent.document_tokens`.
    """

    def __init__(self, tokenizer: Tokenizer, document_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._document_tokens = document_tokens
        self._tasks = structure_tasks(tokenizer)

    async def retrieve(self, seed: Seed, retrieve: Retrieve) -> list[ContextDocument]:
        """Documents near a seed's passage: several short stretches if the corpus has them, else fewer long ones."""
        task = self._tasks[seed.task]
        wanted = int(RETRIEVED_SHARE * seed.target_tokens)
        most = min(self._document_tokens, seed.target_tokens)
        stretch = max(1, min(most, seed.target_tokens // task.num_documents))
        documents = await retrieve(seed.text, wanted, stretch)
        if stretch < most and sum(document.num_tokens for document in documents) < wanted:
            documents = await retrieve(seed.text, wanted, most)
        return documents

    def make(self, seed: Seed, documents: list[ContextDocument]) -> Example | Reject:
        """The example of a seed, the same whenever it is made again.

        Returns:
            The example, or a reject of step `structure` (`documents do not fill target`, `question exceeds target`,
            `no exact cut`, or why the task found nothing to ask about) or of step `assembly`.
        """
        task, usable = self._tasks[seed.task], recount(documents, self._tokenizer)
        question_tokens = task.question_tokens
        for round_index in range(MAX_ROUNDS):
            rng = random.Random(f"{seed.random_seed} {seed.task}")
            budget_tokens = seed.target_tokens - question_tokens
            # Other documents may give a longer question: where one round did not settle it, the next has more room.
            filling = fill(usable, budget_tokens, self._tokenizer, rng, slack_factor=1 + round_index)
            if filling is None:
                return self._reject(seed, "documents do not fill target")
            material = Material(seed, filling.documents, filling.trimmed_ids, rng)
            if not material.num_whole:
                return self._reject(seed, "question exceeds target")
            draft = task.make(material)
            if isinstance(draft, str):
                return self._reject(seed, draft)
            if self._is_near(draft, filling, num_tokens := self._count(draft)):
                return assemble(draft, self._tokenizer, PROGRAM, STRUCTURE_VERSION)
            question_tokens = num_tokens - filling.num_tokens
        return self._reject(seed, "no exact cut")

    def _count(self, draft: Draft) -> int:
        """Tokens of the example if nothing is trimmed."""
        whole = {rank: [(0, len(document.text))] for rank, document in enumerate(draft.documents)}
        layout = lay_out(draft.documents, list(whole), whole, set(), draft.instruction, {})
        return self._tokenizer.count_chat(whole_chat(draft, layout.text))

    def _is_near(self, draft: Draft, filling: Filling, num_tokens: int) -> bool:
        """Whether a cut in the passages that may be cut gives the target, with some tokens to spare."""
        return num_tokens - 0.9 * filling.num_trimmed_tokens < draft.seed.target_tokens <= num_tokens

    def _reject(self, seed: Seed, reason: str) -> Reject:
        return Reject(seed.seed_id, "structure", reason, seed.task)
