"""In what RULER's published protocols differ from each other and from the one here, as data.

`own` has what all of them have, in today's texts, but no sample shares its places with another one. 2024 is the script
that most published rows were made with (NVIDIA/RULER at e40fae1, October 2024), 2025 is today's script (c3f5e3b), and
`nemo_skills` is NeMo-Skills' pipeline around it, with text completions. All of these are alike in what their prompts
say, but for what stands here. What remains different: none of them fills prompts up as far as is done here; names,
words and numbers are drawn by another generator; and the lists of `cwe` and `fwe` are shuffled anew for each sample,
where the scripts shuffle all of a length alike.
"""

from dataclasses import dataclass

from app.config import RulerProtocol

REFERENCE_SEED = 42
"""Shuffles the documents in all samples of the published protocols."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One protocol."""

    says: str
    """What a report says of it."""
    has_inline_variables: bool = False
    """The assignments of `vt` stand within the lines of noise, its example is the same for all samples, and the start
    of the reply has a typing error."""
    has_example_turn: bool = False
    """The example of `cwe` has the model's template of its own, and no end of turn."""
    example_gap: str = " "
    """Between the start of the reply and the answer in that example."""
    is_prefix_bare: bool = False
    """The start of the reply has no blank at its ends."""
    is_order_shared: bool = False
    """Documents are shuffled alike in all samples, which have as many of them as the first question's, or ten less: the
    evidence of `qa_1` so stands at one depth."""


VARIANTS: dict[RulerProtocol, Variant] = {
    "own": Variant(""),
    2024: Variant(
        "that of RULER's script in 2024",
        has_inline_variables=True,
        has_example_turn=True,
        example_gap="",
        is_order_shared=True,
    ),
    2025: Variant("that of RULER's script since May 2025", has_example_turn=True, is_order_shared=True),
    "nemo_skills": Variant(
        "that of NeMo-Skills with text completions", is_prefix_bare=True, is_order_shared=True
    ),
}
