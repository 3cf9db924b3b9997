"""Base of all sections of the settings: strict, frozen, with operational fields marked."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

OPERATIONAL: dict[str, Any] = {"operational": True}


Share = Annotated[float, Field(ge=0.0, le=1.0)]


NonNegativeCount = Annotated[int, Field(ge=0)]


NodeLabels = dict[str, str]
"""Ray labels (`ray start --labels`, node types of a cluster) that a node must have. Empty: any node will do."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


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
