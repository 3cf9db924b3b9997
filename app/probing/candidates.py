"""The candidates for the RoPE of a longer context: other bases, and the ways to scale positions at the same factor."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.faults import UserError
from app.models.rope import check_served_tokens, raise_base, with_rope

BASE_MULTIPLES = (1, 2, 4, 8, 16)
"""Of the base that the paper's rule gives."""
FACTOR_STEPS = 64
"""Factors are rounded up to one part of so many: a loader that multiplies a length by one must not lose a token."""
SCALED_TYPES = ("yarn", "linear")
MOST_CANDIDATES = 1 + len(BASE_MULTIPLES) + len(SCALED_TYPES)
"""Of one length."""
OWN, RULE = "own base", "rule"


@dataclass(frozen=True)
class Candidate:
    """One RoPE that a model may be read with."""

    name: str
    parameters: dict[str, Any]
    """As transformers has them."""


def candidates_of(
    config: Any, parameters: Mapping[str, Any], from_tokens: int, to_tokens: int
) -> list[Candidate]:
    """What a context may be extended by; none twice.

    Args:
        config: transformers' configuration of the model before its first stage.
        parameters: Its RoPE parameters, or those that the stage before was trained with.
        from_tokens: Longest sequence that it reads with these.
        to_tokens: Length to reach.

    Returns:
        The old base first, then the rule's and its multiples, then scalings; only those that a server reads at the
        length.
    """
    base, kind = float(parameters["rope_theta"]), str(parameters.get("rope_type", "default"))
    ruled = raise_base(base, from_tokens, to_tokens)
    found = [Candidate(OWN, dict(parameters))]
    found += [
        Candidate(
            RULE if multiple == 1 else f"{multiple} x {RULE}",
            {**parameters, "rope_theta": ruled * multiple},
        )
        for multiple in BASE_MULTIPLES
    ]
    ratio = max(to_tokens / from_tokens, 1.0)
    if kind in ("default", *SCALED_TYPES):
        found += [_scaled(parameters, each, ratio, from_tokens) for each in SCALED_TYPES]
    elif kind == "llama3":
        factor = float(parameters["factor"]) * ratio
        found.append(Candidate(f"llama3, factor {factor:g}", {**parameters, "factor": factor}))
    kept: list[Candidate] = []
    for each in found:
        is_new = all(each.parameters != other.parameters for other in kept)
        if is_new and _is_served(config, each, to_tokens):
            kept.append(each)
    return kept


def _scaled(parameters: Mapping[str, Any], kind: str, ratio: float, from_tokens: int) -> Candidate:
    """A scaling of the given type; one that the model has already is raised by the ratio."""
    is_same = parameters.get("rope_type") == kind
    old_factor = float(parameters["factor"]) if is_same else 1.0
    factor = math.ceil(old_factor * ratio * FACTOR_STEPS) / FACTOR_STEPS
    if is_same:
        changed = {**parameters, "factor": factor}
    else:
        share = {key: parameters[key] for key in ("partial_rotary_factor",) if key in parameters}
        changed = share | {"rope_type": kind, "rope_theta": parameters["rope_theta"], "factor": factor}
        if kind == "yarn":
            changed["original_max_position_embeddings"] = from_tokens
    return Candidate(f"{kind}, factor {factor:g}", changed)


def _is_served(config: Any, candidate: Candidate, to_tokens: int) -> bool:
    try:
        check_served_tokens(with_rope(config, candidate.parameters, to_tokens), "", to_tokens)
    except UserError:
        return False
    return True
