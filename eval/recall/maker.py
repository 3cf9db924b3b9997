"""Recall: questions whose answer the context changes, and the same questions without a context.

The probe that arXiv 2412.18860 asks for. A question is asked three times: with a text that says what is true,
with the same text where a fact is changed or a chain wired otherwise, and closed-book. Who answers out of memory is
right in the first, wrong in the second, and right in the third.

Why table facts and invented chains, and not the run's own long examples: those are answered freely, in many
sentences, so that no program can tell what the right answer to a changed passage would be, nor whether a reply has it;
and a changed name or number contradicts the other passages that speak of it. Here both the answer and all that the
text says of it are known. That the text doesn't state the fact by itself is checked.
"""

import hashlib
import random
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

from app.config import EvaluateConfig
from app.faults import UserError
from app.tokens import Tokenizer
from eval.fitting import fit
from eval.haystack import Haystack, read_text
from eval.prompt_frame import Prompt, PromptFrame
from eval.recall.chains import Chain, draw_chain
from eval.recall.facts import Fact, accepted, draw_other_answer, facts_not_in
from eval.recall.prose import bundled_prose
from eval.samples import Sample, Slot
from eval.token_text import tokenize
from eval.weaving import weave

Kind = Literal["fact", "chain"]
Variant = Literal["true", "changed", "closed"]
KINDS: tuple[Kind, ...] = ("fact", "chain")
MAX_CLOSED_TOKENS = 512
"""Of a prompt without a context."""

OPENING = "Read the text. A question about it follows.\n\n"
QUESTION = "\n\nUsing only the text above, answer this question with just the name. Question: {question}"
CLOSED_QUESTION = "Answer this question with just the name. Question: {question}"
ANSWER_PREFIX = "Answer:"


class RecallMaker:
    """Makes the samples of the suite.

    The tasks are `fact_true`, `fact_changed`, `fact_closed` and the same of `chain`; those of one index ask the same
    question. Of each sample the facts hold its kind, variant, item, depths, and both answers with their other names:
    what the context says (`context_answers`), and what is true or was said by the first wiring
    (`remembered_answers`). References are what is right in the variant; any one of them is enough.

    Args:
        config: Settings of the evaluation; `recall` and `template` are used.
        tokenizer: Tokenizer of the model.
        seed: Seed of all random draws.
    """

    def __init__(self, config: EvaluateConfig, tokenizer: Tokenizer, seed: int) -> None:
        self._config = config
        self._tokenizer = tokenizer
        self._seed = seed

    def __reduce__(self) -> tuple[type["RecallMaker"], tuple[EvaluateConfig, Tokenizer, int]]:
        return RecallMaker, (self._config, self._tokenizer, self._seed)

    def identity(self) -> dict[str, Any]:
        """See `SampleMaker`."""
        return {
            "suite": "recall",
            "prompts": [OPENING, QUESTION, CLOSED_QUESTION, ANSWER_PREFIX],
            "facts": hashlib.sha256(repr(self._facts).encode()).hexdigest()[:16],
            "text": hashlib.sha256(self._text.encode()).hexdigest()[:16],
            "tokenizer": self._tokenizer.fingerprint,
            "template": self._config.template,
            "template_arguments": self._config.sampling.template_arguments,
            "max_output_tokens": self._config.recall.max_output_tokens,
            "seed": self._seed,
        }

    def slots(self) -> list[Slot]:
        """Closed-book ones first. Of a length and task the deepest first: others' prefixes lie in its prompt."""
        num = self._config.recall.num_samples
        closed_length = MAX_CLOSED_TOKENS + self._config.recall.max_output_tokens
        # A fact that comes round again has a new place and other answer, but closed-book it is the same question.
        slots = [Slot("fact_closed", closed_length, index) for index in range(min(num, len(self._facts)))]
        slots += [Slot("chain_closed", closed_length, index) for index in range(num)]
        for length in self._config.recall.lengths_tokens:
            for kind in KINDS:
                deepest_first = sorted(range(num), key=lambda index: -min(self._depths(kind, length, index)))
                for variant in ("true", "changed"):
                    slots += [Slot(f"{kind}_{variant}", length, index) for index in deepest_first]
        return slots

    def make(self, slot: Slot) -> Sample:
        """See `SampleMaker`."""
        kind, _, variant = slot.task.partition("_")
        return self._of_fact(slot, variant) if kind == "fact" else self._of_chain(slot, variant)

    def _of_fact(self, slot: Slot, variant: str) -> Sample:
        fact = self._facts[slot.index % len(self._facts)]
        other = draw_other_answer(fact, self._rng("fact", slot.index))
        said = other if variant == "changed" else fact.answer
        return self._sample(
            slot,
            item=fact.item,
            question=fact.question,
            statements=[fact.state(said)],
            context=accepted(fact.kind, said),
            remembered=accepted(fact.kind, fact.answer),
        )

    def _of_chain(self, slot: Slot, variant: str) -> Sample:
        chain: Chain = draw_chain(self._rng("chain", slot.index))
        is_rewired = variant == "changed"
        return self._sample(
            slot,
            item=f"chain {slot.index}",
            question=chain.question,
            statements=chain.rewired_statements if is_rewired else chain.statements,
            context=[chain.rewired_answer if is_rewired else chain.answer],
            remembered=[chain.answer],
        )

    def _sample(
        self,
        slot: Slot,
        item: str,
        question: str,
        statements: list[str],
        context: list[str],
        remembered: list[str],
    ) -> Sample:
        kind, _, variant = slot.task.partition("_")
        is_closed = variant == "closed"
        facts: dict[str, Any] = {
            "kind": kind,
            "variant": variant,
            "index": slot.index,
            "item": item,
            "context_answers": [] if is_closed else context,
            "remembered_answers": remembered,
            "depths_percent": [],
        }
        if is_closed:
            asked = tokenize(self._tokenizer, CLOSED_QUESTION.format(question=question) + self._line_end)
            prompt = self._frame.prompt([asked], ANSWER_PREFIX)
        else:
            assert kind in KINDS
            depths = self._depths(kind, slot.length_tokens, slot.index)
            facts["depths_percent"] = [round(100 * depth, 1) for depth in depths]
            prompt = self._prompt(slot.length_tokens, list(zip(depths, statements, strict=True)), question)
        return Sample(
            sample_id=slot.sample_id,
            task=slot.task,
            length_tokens=slot.length_tokens,
            token_ids=prompt.ids,
            max_output_tokens=self._config.recall.max_output_tokens,
            references=remembered if is_closed else context,
            group="" if is_closed else str(slot.length_tokens),
            facts=facts,
            content=prompt.content,
            answer_prefix=prompt.answer_prefix,
        )

    def _prompt(self, length: int, placed: Sequence[tuple[float, str]], question: str) -> Prompt:
        opening = tokenize(self._tokenizer, OPENING)
        closing = tokenize(self._tokenizer, QUESTION.format(question=question) + self._line_end)
        limit = length - self._config.recall.max_output_tokens
        text = self._haystack.reaching(limit)

        def build(index: int) -> Prompt:
            filled = weave(self._tokenizer, text, int(text.sentences[index]), placed)
            return self._frame.prompt([opening, *filled, closing], ANSWER_PREFIX)

        return fit(build, text.sentences, limit)

    def _depths(self, kind: str, length: int, index: int) -> list[float]:
        """Where the statements stand, 0 to 1, ascending; the same in both variants."""
        rng = random.Random(f"{self._seed} {kind} {index} depths {length}")
        num_statements = 1 if kind == "fact" else len(draw_chain(self._rng("chain", index)).statements)
        return sorted(rng.random() for _ in range(num_statements))

    def _rng(self, kind: str, index: int) -> random.Random:
        """Random generator of one question, the same at every length, so that lengths can be compared."""
        return random.Random(f"{self._seed} {kind} {index}")

    @property
    def _line_end(self) -> str:
        """Line break between question and answer prefix, if there is no template."""
        return "\n" if self._config.template == "base" else ""

    @cached_property
    def _facts(self) -> list[Fact]:
        """Those that the haystack does not speak of, in the order in which they are asked.

        Raises:
            UserError: It speaks of all of them.
        """
        facts = facts_not_in(self._text)
        if not facts:
            raise UserError(
                "evaluate.recall.haystack: states every fact of the bundled table; give another text"
            )
        random.Random(f"{self._seed} facts").shuffle(facts)
        return facts

    @cached_property
    def _text(self) -> str:
        path = self._config.recall.haystack
        return bundled_prose() if path is None else read_text("evaluate.recall.haystack", path)

    @cached_property
    def _haystack(self) -> Haystack:
        return Haystack.of_prose(self._tokenizer, self._text)

    @cached_property
    def _frame(self) -> PromptFrame:
        return PromptFrame(self._tokenizer, self._config.template, self._config.sampling.template_arguments)
