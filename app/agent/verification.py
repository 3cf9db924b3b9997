"""Step 5, on demand: does the answer need its evidence, all of it, and nothing else of the context?

No teacher is asked. The generator's own log-likelihood of the answer is compared, per token, after different passages
(EntropyLong, arXiv 2510.02330, uses such a gain too). It tells what an answer is grounded in, not whether it is true: a
false answer out of a passage's own words gains more than a true paraphrase. For that, a judge may be asked.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.agent.asking import StepFailedError, ask
from app.agent.llm import CannotScoreError, Generator, LlmCall, LlmError, ScoreCall, Scorer
from app.agent.parsing import JUDGE_SCHEMA, parse_judgement
from app.agent.prompts import judge_messages, passages_messages
from app.agent.words import UNWEIGHTED, WordWeights
from app.config import VerificationConfig
from app.schema import Draft, Passage, Verification
from app.text.words import content_words
from app.tokens import Tokenizer

STEP = "verification"
JUDGE_TOKENS = 32
MIN_MARKED_GAIN = 0.1
"""A passage that adds less is no evidence, however little the evidence adds: so much comes by chance."""


@dataclass(frozen=True)
class Verifier:
    """Measures answers, and marks as evidence what turns out to be."""

    settings: VerificationConfig
    tokenizer: Tokenizer
    """The scorer's."""
    max_attempts: int
    """Of a score that fails."""
    call_tokens: int
    """Most tokens of one score, prompt and answer together."""
    weights: WordWeights = UNWEIGHTED
    """How much a word tells about a subject; it decides which passages are measured."""

    async def __call__(self, draft: Draft, scorer: Scorer) -> Draft:
        """The draft with its measures, and with further evidence where unmarked passages explain the answer.

        Where the scorer fails, the measures hold the reason instead.
        """
        try:
            return await _Measuring(self, draft, scorer).run()
        except CannotScoreError as error:
            return replace(draft, verification=Verification(not_verified=str(error)))
        except LlmError as error:
            return replace(draft, verification=Verification(not_verified=f"score {error}"))

    async def judge(self, draft: Draft, generate: Generator) -> Draft:
        """The draft with a judge's grades; without them where the judge gives none."""
        call = LlmCall(
            step="judge",
            messages=judge_messages(draft.instruction, self._cut(_evidence(draft), draft), draft.answer),
            max_output_tokens=JUDGE_TOKENS,
            random_seed=draft.seed.random_seed,
            json_schema=JUDGE_SCHEMA,
        )
        try:
            grades = await ask(generate, call, lambda reply: parse_judgement(reply.text), self.max_attempts)
        except StepFailedError:
            return draft
        verification = draft.verification or Verification()
        return replace(
            draft,
            verification=replace(verification, judged_relevance=grades[0], judged_correctness=grades[1]),
        )

    async def log_likelihood(
        self, instruction: str, passages: Sequence[str], answer: str, scorer: Scorer
    ) -> float:
        """Mean log-likelihood of an answer's tokens after passages and an instruction.

        Raises:
            LlmError: No attempt gave a score.
            CannotScoreError: The scorer gives none.
        """
        call = ScoreCall(STEP, passages_messages(instruction, passages), answer)
        for _ in range(self.max_attempts - 1):
            try:
                return (await scorer.score(call)).log_likelihood
            except LlmError:
                continue
        return (await scorer.score(call)).log_likelihood

    def cut(self, passages: Sequence[str], instruction: str, answer: str) -> list[str]:
        """Passages that fit one score; where they are too long, each keeps the same share of its tokens."""
        used = sum(self.tokenizer.count_batch([instruction, answer])) + 128
        most = max(1, min(self.settings.evidence_tokens, self.call_tokens - used))
        offsets = [self.tokenizer.offsets(text) for text in passages]
        num_tokens = sum(map(len, offsets))
        if num_tokens <= most:
            return list(passages)
        kept = [int(len(each) * most / num_tokens) for each in offsets]
        return [
            text[: each[count][0]] if count < len(each) else text
            for text, each, count in zip(passages, offsets, kept, strict=True)
        ]

    def _cut(self, passages: Sequence[Passage], draft: Draft) -> list[str]:
        return self.cut([passage.text for passage in passages], draft.instruction, draft.answer)


class _Measuring:
    """The measures of one draft."""

    def __init__(self, verifier: Verifier, draft: Draft, scorer: Scorer) -> None:
        self._verifier, self._draft, self._scorer = verifier, draft, scorer
        self._words = content_words(draft.answer)

    async def run(self) -> Draft:
        evidence = _evidence(self._draft)
        others = self._nearest(evidence)
        closed, full = await asyncio.gather(self._score([]), self._score(evidence))
        beside = await self._score(others) if others else closed
        if beside - closed >= self._least_marked(closed, full):
            marked = await self._explaining(others, closed, full)
            evidence = [*evidence, *marked]
            others = [passage for passage in others if passage not in marked]
            full = await self._score(evidence) if marked else full
            beside = await self._score(others) if others else closed
        return replace(
            self._draft,
            evidence_ids=[passage.passage_id for passage in evidence],
            verification=Verification(
                closed_book=closed,
                evidence_gain=full - closed,
                distractor_gain=beside - closed,
                necessity=await self._drops(evidence, closed, full),
            ),
        )

    async def _score(self, passages: Sequence[Passage]) -> float:
        draft = self._draft
        shown = self._verifier._cut(passages, draft) if passages else []
        return await self._verifier.log_likelihood(draft.instruction, shown, draft.answer, self._scorer)

    def _nearest(self, evidence: Sequence[Passage]) -> list[Passage]:
        """Unmarked passages that share most of the answer's words, the best first."""
        marked = {passage.passage_id for passage in evidence}
        shares = [
            (self._shared(passage), passage)
            for document in self._draft.documents
            for passage in document.passages
            if passage.passage_id not in marked
        ]
        ranked = sorted((each for each in shares if each[0] > 0), key=lambda each: -each[0])
        return [passage for _, passage in ranked[: self._verifier.settings.num_distractors]]

    def _shared(self, passage: Passage) -> float:
        return self._verifier.weights.total(self._words & content_words(passage.text))

    async def _explaining(self, passages: Sequence[Passage], closed: float, full: float) -> list[Passage]:
        """Those of the passages that explain the answer, each by itself."""
        alone = await asyncio.gather(*(self._score([passage]) for passage in passages))
        least = self._least_marked(closed, full)
        return [passage for passage, score in zip(passages, alone, strict=True) if score - closed >= least]

    def _least_marked(self, closed: float, full: float) -> float:
        """What a passage must add to be evidence."""
        return max(self._verifier.settings.marked_share * (full - closed), MIN_MARKED_GAIN)

    async def _drops(self, evidence: Sequence[Passage], closed: float, full: float) -> dict[str, float]:
        """What is lost without each evidence document."""
        shares: dict[str, float] = {}
        for passage in evidence:
            shares[passage.document_id] = shares.get(passage.document_id, 0.0) + self._shared(passage)
        if len(shares) == 1:
            return dict.fromkeys(shares, full - closed)
        left_out = sorted(shares, key=lambda name: -shares[name])[: self._verifier.settings.max_left_out]
        rests = await asyncio.gather(
            *(
                self._score([passage for passage in evidence if passage.document_id != name])
                for name in left_out
            )
        )
        return {name: full - rest for name, rest in zip(left_out, rests, strict=True)}


def _evidence(draft: Draft) -> list[Passage]:
    wanted = set(draft.evidence_ids)
    return [
        passage
        for document in draft.documents
        for passage in document.passages
        if passage.passage_id in wanted
    ]
