"""The task `recall`: invented statements strewn into documents, and questions after them, one a turn."""

from bisect import bisect_left
from collections import defaultdict

from app.dataset.structure.material import Material, replace_range
from app.dataset.structure.statements import Statement, draw_statements
from app.schema import ContextDocument, Draft, Message, TaskData, passage_id_of
from app.text.sentences import sentence_borders
from app.tokens import Tokenizer

NUM_STATEMENTS = 10
TOKENS_PER_STATEMENT = 200
"""Of the target: a short context has fewer statements, or they would be most of it."""
_REQUESTS = (
    "Answer the following questions from the documents above, in a few words each.",
    "I have some questions about the documents above. Answer each of them briefly.",
    "Keep your answers short, and take them from the documents above.",
)


class Recall:
    """Questions whose answers stand at all depths of the context."""

    num_documents = 1
    question_tokens = 580

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def make(self, material: Material) -> Draft | str:
        """See `TaskMaker`."""
        seed, rng = material.seed, material.rng
        count = min(NUM_STATEMENTS, max(1, seed.target_tokens // TOKENS_PER_STATEMENT))
        statements = draw_statements(rng, count, material.all_text())
        documents = self._strew(material, statements)
        asked = list(range(count))
        rng.shuffle(asked)
        turns: list[Message] = []
        for index in asked:
            turns.append({"role": "user", "content": statements[index].question})
            turns.append({"role": "assistant", "content": statements[index].reply})
        return Draft(
            seed=seed,
            instruction=f"{rng.choice(_REQUESTS)}\n\n{turns[0]['content']}",
            answer=turns[1]["content"],
            documents=documents,
            evidence_ids=[passage_id_of(seed.seed_id, index) for index in range(count)],
            trimmed_ids=sorted(material.trimmed_ids),
            follow_up=turns[2:],
            task_data=TaskData(
                answer_key=[statements[index].value for index in asked],
                answer_type="text",
                checker="turns",
                num_hops=1,
                num_needed_documents=sum(
                    new is not old for new, old in zip(documents, material.documents, strict=True)
                ),
            ),
        )

    def _strew(self, material: Material, statements: list[Statement]) -> list[ContextDocument]:
        """The documents with the statements in them: each in its stratum of the context, between two sentences."""
        texts = [material.whole_text(rank) for rank in range(material.num_whole)]
        num_chars = sum(map(len, texts))
        places: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for index in range(len(statements)):
            char = int((index + material.rng.random()) / len(statements) * num_chars)
            rank = 0
            while rank + 1 < len(texts) and char >= len(texts[rank]):
                char -= len(texts[rank])
                rank += 1
            borders = [0, *sentence_borders(texts[rank]).tolist()]
            at = min(bisect_left(borders, char), len(borders) - 1)
            places[rank].append((borders[at], index))
        documents = list(material.documents)
        for rank, found in places.items():
            # From the end, so that earlier places stay where they are.
            for char, index in sorted(found, reverse=True):
                gap = "\n\n" if texts[rank][:char].endswith("\n\n") else " "
                text = statements[index].text + gap
                documents[rank] = replace_range(
                    documents[rank],
                    char,
                    char,
                    text,
                    passage_id_of(material.seed.seed_id, index),
                    self._tokenizer.count(text),
                )
        return documents
