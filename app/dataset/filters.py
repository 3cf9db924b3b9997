"""Decides which finished drafts are not worth training on, and why.

All checks read text alone. They are meant to miss rather than to hit wrongly: a few bad answers harm a model less than
a sample that a list of phrases has bent.
"""

from collections.abc import Iterable

from app.config import FilterConfig
from app.dataset.refusals import is_refusal
from app.schema import Draft, Reject
from app.text.words import split_words, word_ngrams

NGRAM_WORDS = 4
SHINGLE_WORDS = 2
"""Instructions are short: with pairs, one word changed in twenty leaves a similarity of 0.8."""
NUM_PERMUTATIONS = 128


def check_draft(draft: Draft, filters: FilterConfig) -> Reject | None:
    """Why a draft should not become an example, or `None` when nothing speaks against it.

    A long output's answer was written by a person, so only its instruction is checked.

    Args:
        draft: What the agent made.
        filters: The bounds.

    Returns:
        A reject of step `filters` with one of the reasons `refusal`, `repetition`, `too short`, `copies instruction`,
        `no evidence`.
    """

    def reject(reason: str, detail: str = "") -> Reject:
        return Reject(draft.seed.seed_id, "filters", reason, detail)

    if is_refusal(draft.instruction):
        return reject("refusal", f"instruction: {draft.instruction[:80]}")
    if (share := repetition(draft.instruction)) > filters.max_repetition:
        return reject("repetition", f"instruction: {share:.2f}")
    if draft.seed.kind == "long_output":
        return None
    if is_refusal(draft.answer):
        return reject("refusal", draft.answer[:80])
    num_words = len(split_words(draft.answer))
    if num_words < filters.min_answer_words:
        return reject("too short", f"{num_words} words")
    if not draft.evidence_ids:
        return reject("no evidence")
    if (share := repetition(draft.answer)) > filters.max_repetition:
        return reject("repetition", f"{share:.2f}")
    if (share := overlap(draft.answer, draft.instruction)) > filters.max_instruction_overlap:
        return reject("copies instruction", f"{share:.2f}")
    return None


def find_similar_instructions(instructions: Iterable[tuple[str, str]], threshold: float) -> dict[str, str]:
    """Instructions that say nearly the same as an earlier one.

    Args:
        instructions: Id and text, in the seeds' order; the result depends on nothing else.
        threshold: Jaccard similarity of word pairs from which two are near-duplicates.

    Returns:
        Id of each later one → id of the earliest kept one that it resembles. What is dropped itself makes no other
        instruction go.
    """
    from datasketch import MinHash, MinHashLSH

    # A missed candidate is lost, a false one costs a comparison; all are verified below.
    lsh = MinHashLSH(threshold=threshold, num_perm=NUM_PERMUTATIONS, weights=(0.1, 0.9))
    shingles: list[tuple[str, frozenset[str]]] = []
    similar: dict[str, str] = {}
    for row_id, instruction in instructions:
        found = _shingles(instruction)
        signature = MinHash(num_perm=NUM_PERMUTATIONS)
        signature.update_batch([shingle.encode("utf-8", "surrogatepass") for shingle in sorted(found)])
        for index in sorted(lsh.query(signature)):
            other_id, others = shingles[index]
            if len(found & others) >= threshold * max(len(found | others), 1):
                similar[row_id] = other_id
                break
        else:
            lsh.insert(len(shingles), signature)
            shingles.append((row_id, found))
    return similar


def repetition(text: str) -> float:
    """Share of a text's word 4-grams that stand in it earlier; 0.0 for texts too short to have two."""
    ngrams = word_ngrams(text, NGRAM_WORDS)
    return 1.0 - len(set(ngrams)) / len(ngrams)


def overlap(answer: str, instruction: str) -> float:
    """Share of an answer's word 4-grams that stand in the instruction."""
    ngrams = word_ngrams(answer, NGRAM_WORDS)
    copied = set(word_ngrams(instruction, NGRAM_WORDS))
    return sum(ngram in copied for ngram in ngrams) / len(ngrams)


def _shingles(instruction: str) -> frozenset[str]:
    """Runs of `SHINGLE_WORDS` words or characters; of a shorter text, the one that it is."""
    words = split_words(instruction)
    starts = range(max(len(words) - SHINGLE_WORDS + 1, 1))
    return frozenset(" ".join(words[start : start + SHINGLE_WORDS]) for start in starts)
