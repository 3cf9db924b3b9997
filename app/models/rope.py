"""The RoPE that a stage trains with: the paper's rule, what a search found, a base, or a whole block of parameters."""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

from app.config import StageConfig
from app.faults import UserError
from app.models.files import ModelFiles

SCALING_KEYS = (
    "rope_type",
    "type",
    "rope_theta",
    "factor",
    "original_max_position_embeddings",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "truncate",
    "short_factor",
    "long_factor",
    "low_freq_factor",
    "high_freq_factor",
)
"""Keys of a block that belong to its type; all others, such as the share of a head that is turned, to the model."""
FULL_ATTENTION = "full_attention"
"""Kind of layers that see the whole context. Where each kind has a RoPE of its own, only theirs is extended."""
FIXED_ROPE_TYPES = ("default", "linear", "llama3", "yarn")
"""Their angles depend on the position alone; `dynamic` and `longrope` change with the length of the input."""


def raise_base(base: float, from_tokens: int, to_tokens: int) -> float:
    """RoPE base for a longer context: four times the base for each doubling (arXiv 2412.18860), no less than it was."""
    return base * max(to_tokens / from_tokens, 1.0) ** 2


def rope_of(config: Any) -> dict[str, Any] | None:
    """The `rope_parameters` of the layers with full attention; None: the model has none.

    Args:
        config: transformers' configuration.
    """
    parameters = getattr(config, "rope_parameters", None)
    if isinstance(parameters, dict) and FULL_ATTENTION in parameters:
        parameters = parameters[FULL_ATTENTION]
    return parameters if isinstance(parameters, dict) else None


def _set_rope(config: Any, parameters: dict[str, Any]) -> None:
    """Give a configuration another RoPE of the layers with full attention."""
    parameters, blocks = copy.deepcopy(parameters), config.rope_parameters
    if isinstance(blocks, dict) and FULL_ATTENTION in blocks:
        parameters = {**copy.deepcopy(blocks), FULL_ATTENTION: parameters}
    config.rope_parameters = parameters


def rope_parameters_of(
    config: Any,
    stages: Sequence[StageConfig],
    index: int,
    searched: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The `rope_parameters`, as transformers has them, of stage number `index`, counted from 0.

    A stage that names no base raises that of the stage before it, the first one the model's own. A block of a stage
    replaces how RoPE is scaled; what else the model's own block holds stays. What a search found replaces all.
    Where kinds of layers have a RoPE each, it is that of the layers with full attention: sliding windows do not grow.

    Args:
        config: transformers' configuration of the model before the first stage.
        stages: All stages.
        index: Whose.
        searched: Stage → the parameters that a search found. One that searches and is not among them has the rule's.

    Raises:
        UserError: The model has no RoPE with a base, or the block is of a type whose angles are not fixed.
    """
    parameters = model_rope(config)
    kept = {key: value for key, value in parameters.items() if key not in SCALING_KEYS}
    length = max_tokens_of(config)
    for stage in stages[: index + 1]:
        if stage.rope_parameters is not None:
            parameters = {"rope_type": "default"} | copy.deepcopy(kept | stage.rope_parameters)
            _check_block(config, parameters, f"train.stages.{stage.name}.rope_parameters")
        elif stage.rope_theta == "search" and searched is not None and stage.name in searched:
            parameters = copy.deepcopy(dict(searched[stage.name]))
        else:
            base = (
                raise_base(float(parameters["rope_theta"]), length, stage.max_seq_tokens)
                if isinstance(stage.rope_theta, str)
                else stage.rope_theta
            )
            parameters = {**parameters, "rope_theta": base}
        length = max(length, stage.max_seq_tokens)
    return parameters


def model_rope(config: Any) -> dict[str, Any]:
    """The `rope_parameters` of a model before any stage.

    Raises:
        UserError: It has no RoPE with a base, or one whose angles are not fixed.
    """
    parameters = rope_of(config)
    if parameters is None or not isinstance(parameters.get("rope_theta"), int | float):
        raise UserError(
            f"train.model: {config.model_type} has no RoPE with one base, so its context can't be extended by it; "
            f"give a model such as Llama, Qwen, Mistral or Gemma"
        )
    _check_block(config, parameters, "train.model: rope_parameters")
    return parameters


def with_rope(config: Any, parameters: dict[str, Any], max_seq_tokens: int) -> Any:
    """A copy of transformers' configuration that says so, as an exported model must: loaders look nowhere else."""
    changed = copy.deepcopy(config)
    _set_rope(changed, parameters)
    changed.max_position_embeddings = max(int(config.max_position_embeddings), max_seq_tokens)
    if parameters.get("rope_type") == "linear" and max_tokens_of(changed) > changed.max_position_embeddings:
        # Loaders multiply this by the factor.
        factor = float(parameters["factor"])
        changed.max_position_embeddings = math.ceil(max(max_tokens_of(config), max_seq_tokens) / factor)
    return changed


def max_tokens_of(config: Any) -> int:
    """Longest sequence that a configuration of transformers allows, as vLLM and `serve` count it."""
    length = ModelFiles(config.to_dict(), None).max_tokens
    assert length is not None, "a configuration with RoPE has a length"
    return length


def check_served_tokens(config: Any, field: str, max_seq_tokens: int) -> None:
    """Refuse to train at a length that the exported model could not be served at.

    Args:
        config: transformers' configuration with the stage's RoPE (`with_rope`).
        field: The stage's place in the settings.
        max_seq_tokens: Length of its sequences.

    Raises:
        UserError: gives the block that would do.
    """
    length, parameters = max_tokens_of(config), rope_of(config)
    if length >= max_seq_tokens:
        return
    assert parameters is not None, "a model without RoPE is refused before"
    factor = math.ceil(float(parameters["factor"]) * max_seq_tokens / length)
    block = ", ".join(f"{key}: {value}" for key, value in (parameters | {"factor": float(factor)}).items())
    raise UserError(
        f"{field}.max_seq_tokens: {max_seq_tokens} is more than the {length} tokens that vLLM serves a model with "
        f"rope_type {parameters['rope_type']} and factor {parameters['factor']:g} at; set {field}.rope_parameters: "
        f"{{{block}}}"
    )


def _is_number(value: Any, above: float) -> bool:
    """Whether a value of a block, which anything may stand in, is a number above another; true, NaN and infinity are
    none.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and above < value < math.inf


def _check_block(config: Any, parameters: dict[str, Any], field: str) -> None:
    if not _is_number(parameters.get("rope_theta"), above=0.0):
        raise UserError(f"{field}: {parameters} has no rope_theta above 0; give one")
    if "factor" in parameters and not _is_number(parameters["factor"], above=0.0):
        raise UserError(f"{field}: {parameters} has a factor that is no number above 0; give one")
    if parameters.get("rope_type", "default") not in FIXED_ROPE_TYPES:
        raise UserError(
            f"{field}: rope_type {parameters['rope_type']!r} is not fixed in the length of the input; give one of "
            f"{', '.join(FIXED_ROPE_TYPES)}"
        )
    probe = copy.deepcopy(config)
    _set_rope(probe, parameters)
    try:
        # Whatever of it is left out would be read from `max_position_embeddings`, which an export changes.
        probe.validate_rope()
    except (KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error.args[0] if error.args else error).split())
        raise UserError(
            f"{field}: {parameters} is not whole ({reason}); give what its rope_type needs"
        ) from error
