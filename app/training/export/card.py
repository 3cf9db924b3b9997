"""The model card: `README.md` of an export, which the Hub shows. Values in, Markdown out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.markdown import front_matter, table, yaml_block
from app.records.training import SourceFacts, StageFacts

CARD_FILE = "README.md"
LAST_SHARE = 0.1
"""Of a stage's steps, whose mean loss the card gives: a single step's says little."""
_LICENCE_FIELDS = ("license", "license_name", "license_link")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class CardFacts:
    """All that a card tells."""

    name: str
    """Name of the model."""
    base_model: str
    """Hub name or path of the model that was extended."""
    base_revision: str | None
    """Revision of the base model, if one was given."""
    base_max_tokens: int
    """Context length of the base model."""
    base_card: Mapping[str, Any]
    """Front matter of the base model's card."""
    dtype: str
    """Dtype of the exported weights."""
    stages: Sequence[StageFacts]
    """Stages in order, up to the exported one."""
    sources: Sequence[SourceFacts]
    """Sources of the stages' rows."""
    versions: Mapping[str, str]
    """Versions of the packages, by name."""


def render_card(facts: CardFacts) -> str:
    """The card's text: Markdown under YAML front matter."""
    last = facts.stages[-1]
    revision = f" at `{facts.base_revision}`" if facts.base_revision else ""
    paragraphs = [
        front_matter(_front_matter(facts.base_model, facts.base_card)),
        f"# {facts.name}",
        f"`{facts.base_model}`{revision}, extended from {facts.base_max_tokens:,} to {last.max_seq_tokens:,} tokens of "
        f"context with Longstrap, after [Bootstrap Your Own Context Length](https://arxiv.org/abs/2412.18860). Weights "
        f"are {facts.dtype}. RoPE and length are in `config.json`: transformers and vLLM need no further setting.",
        "## Stages",
        "Each starts from the weights of the one before it.",
        _stage_table(facts.stages),
        "## Losses",
        "Mean cross entropy of a learned token; *last tenth* is the mean over the last tenth of the steps.",
        _loss_table(facts.stages),
        "## Data",
        table(
            ["source", "from"],
            ["tokens"],
            [[source.name, f"`{source.origin}`", f"{source.num_tokens:,}"] for source in facts.sources],
        ),
        "## RoPE",
        yaml_block({stage.name: dict(stage.rope_parameters) for stage in facts.stages}),
        "## Versions",
        table(["package"], ["version"], [[name, version] for name, version in facts.versions.items()]),
        "## Licence",
        f"That of the base model, `{facts.base_model}`, holds for these weights too. The training data keeps its own.",
    ]
    return "\n\n".join(paragraphs) + "\n"


def _front_matter(base_model: str, base_card: Mapping[str, Any]) -> dict[str, Any]:
    # The Hub refuses a card whose base model is a path: what that was made of is a base too.
    base = base_model if _HUB_NAME.fullmatch(base_model) else base_card.get("base_model")
    return {
        **({"base_model": base} if base else {}),
        **{field: base_card[field] for field in _LICENCE_FIELDS if base_card.get(field)},
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["long-context", "longstrap", "arxiv:2412.18860"],
    }


def _stage_table(stages: Sequence[StageFacts]) -> str:
    rows = [
        [
            stage.name,
            _mix(stage.mix),
            f"{stage.max_seq_tokens:,}",
            f"{stage.rope_parameters['rope_theta']:,.0f}",
            f"{len(stage.losses):,}",
            f"{stage.num_tokens:,}",
            f"{stage.learning_rate:g}",
        ]
        for stage in stages
    ]
    numbers = ["sequence tokens", "RoPE base", "steps", "tokens", "learning rate"]
    return table(["stage", "mix"], numbers, rows)


def _loss_table(stages: Sequence[StageFacts]) -> str:
    rows = [[stage.name, *(f"{loss:.4f}" for loss in summarize_losses(stage.losses))] for stage in stages]
    return table(["stage"], ["first step", "last step", "last tenth"], rows)


def summarize_losses(losses: Sequence[float]) -> tuple[float, float, float]:
    """First, last, and mean of the last tenth, which is at least one step."""
    num_last = max(round(len(losses) * LAST_SHARE), 1)
    return losses[0], losses[-1], sum(losses[-num_last:]) / num_last


def _mix(mix: Mapping[str, float]) -> str:
    whole = sum(mix.values())
    return ", ".join(f"{name} {share / whole:.0%}" for name, share in mix.items())
