"""Base of all sections of the settings: strict, frozen, with operational fields marked."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

OPERATIONAL: dict[str, Any] = {"operational": True}


Share = Annotated[float, Field(ge=0.0, le=1.0)]


NonNegativeCount = Annotated[int, Field(ge=0)]


NodeLabels = dict[str, str]
"""Ray labels (`ray start --labels`, node types of a cluster) that a node must have. Empty: any node will do."""


class Section(BaseModel):
    # No setting means anything as infinity, and NaN passes every comparison.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


def texts_in(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names of all texts of some settings, and what they say."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from texts_in(getattr(value, name), f"{place}.{name}".lstrip("."))
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from texts_in(inner, f"{place}.{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from texts_in(inner, f"{place}.{index}")


def identity(section: BaseModel) -> dict[str, Any]:
    """The settings that decide what a run produces, as JSON values, without the operational fields."""
    kept: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("operational"):
            continue
        kept[name] = _identity_of_value(getattr(section, name))
    return kept


def _identity_of_value(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return identity(value)
    if isinstance(value, list):
        return [_identity_of_value(item) for item in value]
    if isinstance(value, dict):
        return {key: _identity_of_value(item) for key, item in value.items()}
    return value
