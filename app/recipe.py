"""Loads recipe files and command-line overrides into a `RunConfig`. Every user error becomes one line."""

import contextlib
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from app.config import Config, RunConfig
from app.faults import UserError, one_line

RECIPES_DIR = Path(__file__).parent.parent / "ray_jobs" / "recipes"
MAX_NAME_CHARS = 200
"""Of a recipe's name that is none."""
MAX_SHOWN_CHARS = 80
"""Of a value in an error message: whole sections would bury the reason."""


class _Loader(yaml.SafeLoader):
    """A value is what was written: YAML 1.1 makes `no` false, `0123` 83 and `12:30` 750. And no name stands twice, and
    nothing inside of itself.
    """

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._open: list[str | None] = []

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in self._open:
                mark: Any = event.start_mark
                raise UserError(
                    f"*{event.anchor} in line {mark.line + 1} stands inside of what it stands for; write out "
                    f"what is meant"
                )
            return super().compose_node(parent, index)
        self._open.append(event.anchor)
        node = super().compose_node(parent, index)
        self._open.pop()
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                raise UserError(
                    f"{key.value} is there twice, in lines {lines[key.value]} and {line}; put all of it into one"
                )
            lines[key.value] = line
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9_]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\d+\.\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.(inf|Inf)|\.(nan|NaN))",
        list("-+0123456789."),
    ),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^({_pattern})$"), _first)


def find_recipe(name: str) -> Path:
    """A file, or the name of a recipe that comes with Longstrap (`laptop.yaml`, `laptop`).

    Raises:
        UserError: There is no such file.
    """
    shipped = RECIPES_DIR / (name if name.endswith(".yaml") else f"{name}.yaml")
    for path in (Path(name), shipped):
        # A name may be longer than any file's.
        with contextlib.suppress(OSError):
            # A pipe too, as `--config <(...)` gives it.
            if path.exists() and not path.is_dir():
                return path
    choices = ", ".join(sorted(path.name for path in RECIPES_DIR.glob("*.yaml")))
    raise UserError(f"--config {name[:MAX_NAME_CHARS]}: no such file; give a YAML file or one of {choices}")


def load_config(recipe: str, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a recipe, apply `--section.field VALUE` pairs (values are YAML too) and check all of it.

    Returns:
        A `Config` where the recipe has any of its sections.

    Raises:
        UserError: One line with the field, the value and what would be right.
    """
    path = find_recipe(recipe)
    try:
        text = path.read_text("utf-8")
        settings = yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except UserError as error:
        raise UserError(f"--config {recipe}: {error}") from error
    # Dates and numbers that are none are errors of Python's, not of YAML's.
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"--config {recipe}: not YAML ({one_line(error)})") from error
    if not isinstance(settings, dict):
        raise UserError(f"--config {recipe}: holds {type(settings).__name__}, not a mapping of settings")
    return _resolved(settings, overrides, _written_in(text))


def config_of(overrides: Sequence[str]) -> RunConfig:
    """Settings without a recipe: `--section.field VALUE` pairs alone.

    Raises:
        UserError: One line with the field, the value and what would be right.
    """
    return _resolved({}, overrides, {})


def _resolved(settings: dict[str, Any], overrides: Sequence[str], written: Mapping[str, str]) -> RunConfig:
    """A recipe's settings with their overrides; `written`: dotted names → values as the recipe has them."""
    for name, value in parse_overrides(overrides):
        _assign(settings, name, value)
    try:
        return _model_of(settings).model_validate(settings)
    except ValidationError as error:
        raise UserError(
            _describe(error, _model_of(settings), {**written, **dict(_pairs(overrides))})
        ) from error


def _model_of(settings: dict[str, Any]) -> type[RunConfig]:
    own = Config.model_fields.keys() - RunConfig.model_fields.keys()
    return Config if own & settings.keys() else RunConfig


def with_settings(config: RunConfig, settings: Mapping[str, Any]) -> RunConfig:
    """A copy of the settings with some replaced, by their dotted names.

    Raises:
        UserError: One line with the field, the value and what would be right.
    """
    changed = config.model_dump()
    for name, value in settings.items():
        _assign(changed, name, value)
    try:
        return type(config).model_validate(changed)
    except ValidationError as error:
        raise UserError(_describe(error, type(config))) from error


def parse_overrides(arguments: Sequence[str]) -> list[tuple[str, Any]]:
    """`--a.b VALUE` or `--a.b=VALUE` pairs → dotted names and YAML values.

    Raises:
        UserError: An argument is not such a pair.
    """
    pairs: list[tuple[str, Any]] = []
    for name, text in _pairs(arguments):
        try:
            pairs.append((name, yaml.load(text, Loader=_Loader)))  # noqa: S506 (a SafeLoader)
        except UserError as error:
            raise UserError(f"--{name}: {error}") from error
        except (yaml.YAMLError, ValueError):
            pairs.append((name, text))
    return pairs


def _pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Names of the options and what was written behind them."""
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("--") or len(argument) == 2:
            raise UserError(f"{argument}: not an option; overrides look like --section.field VALUE")
        name, equals, text = argument[2:].partition("=")
        if not equals:
            if not rest:
                raise UserError(f"--{name}: has no value; overrides look like --section.field VALUE")
            text = rest.pop(0)
        yield name, text


def _written_in(text: str) -> dict[str, str]:
    """Dotted names of a recipe's single values → how they are written."""
    found: dict[str, str] = {}
    waiting: list[tuple[str, Any]] = [("", yaml.compose(text, Loader=_Loader))]
    seen: set[int] = set()
    while waiting:
        name, node = waiting.pop()
        if id(node) in seen:
            # An alias: of aliases of aliases there may be billions.
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            found[name] = node.value
        elif isinstance(node, yaml.MappingNode):
            waiting += [(f"{name}.{key.value}".lstrip("."), value) for key, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(f"{name}.{index}", value) for index, value in enumerate(node.value)]
    return found


def _assign(settings: dict[str, Any], name: str, value: Any) -> None:
    *parents, leaf = name.split(".")
    place: Any = settings
    for parent in parents:
        if isinstance(place, list):
            if not parent.isdecimal() or int(parent) >= len(place):
                raise UserError(f"--{name}: the recipe's list has {len(place)} item(s); count from 0")
            place = place[int(parent)]
        else:
            if place.get(parent) is None:
                place[parent] = {}
            place = place[parent]
        if not isinstance(place, dict | list):
            raise UserError(f"--{name}: {parent} is {_shown(place)}, which has no fields; drop the rest")
    if isinstance(place, list):
        if not leaf.isdecimal() or int(leaf) >= len(place):
            raise UserError(f"--{name}: the recipe's list has {len(place)} item(s); count from 0")
        place[int(leaf)] = value
    else:
        place[leaf] = value


def _describe(
    error: ValidationError, model: type[RunConfig], written: Mapping[str, str] | None = None
) -> str:
    """First fault in one line; how many more there are. `written`: dotted names → values as the user wrote them."""
    faults = error.errors()
    fault = faults[0]
    if fault["type"] == "missing":
        # A slip in a name makes two faults, and the other one tells which name is meant.
        slips = (each for each in faults if each["type"] == "extra_forbidden")
        fault = next((each for each in slips if each["loc"][:-1] == fault["loc"][:-1]), fault)
    names = [str(part) for part in fault["loc"]]
    # pydantic puts a union's branch (`vllm`, `openai`) into the location; users never wrote it.
    is_branch = names[:1] == ["generator"] and len(names) > 2
    field = ".".join([names[0], *names[2:]] if is_branch else names)
    value, kind = _shown(fault["input"]), fault["type"]
    message = fault["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    if kind == "extra_forbidden":
        text = f"{field}: {value} is given for a setting that does not exist; {_nearest(names, field, model)}"
    elif kind == "missing":
        text = f"{field}: is missing and has no default; give --{field} VALUE or set it in the recipe"
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        given = fault["ctx"].get("tag")
        text = f"{field}.type: {given!r} is wrong; it should be one of vllm, openai"
    elif kind == "string_type" and isinstance(fault["input"], int | float):
        what = "true or false" if isinstance(fault["input"], bool) else "a number"
        value = (written or {}).get(field, value)
        text = f"{field}: {value} is {what}; quote it twice to make it text: --{field} '\"{value}\"'"
    elif kind == "bool_type":
        text = f"{field}: {value} is wrong; it should be true or false"
    elif kind in ("model_type", "model_attributes_type", "dict_type"):
        text = f"{field}: {value} is wrong; it should be a mapping of settings"
    elif not field:
        text = message
    elif kind == "value_error":
        # Of a whole section, the message names what is wrong in it.
        is_section = isinstance(fault["input"], dict) and bool(fault["input"])
        text = f"{field}: {'' if is_section else value} {message}"
    else:
        text = f"{field}: {value} is wrong; {message}"
    return " ".join(text.split()) + (f" (and {len(faults) - 1} more)" if len(faults) > 1 else "")


def _shown(value: Any) -> str:
    text = f"{{{', '.join(map(str, value))}}}" if isinstance(value, dict) else repr(value)
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[: MAX_SHOWN_CHARS - 1]}…"


def _nearest(names: list[str], field: str, model: type[RunConfig]) -> str:
    """Suggestion for a setting that does not exist."""
    known = _fields_beside(names, model)
    close = difflib.get_close_matches(names[-1], known, n=1)
    if not close:
        return f"known: {', '.join(known)}"
    section = field.rpartition(".")[0]
    return f"did you mean {section + '.' if section else ''}{close[0]}?"


def _fields_beside(names: list[str], model: type[RunConfig]) -> list[str]:
    """Names that a location's last part could have had."""
    from app.config import OpenAiConfig, VllmConfig

    place: Any = model
    for name in names[:-1]:
        if place is None or name.isdigit():
            continue
        if name in ("vllm", "openai"):
            place = VllmConfig if name == "vllm" else OpenAiConfig
            continue
        field = place.model_fields.get(name)
        place = _model_in(field.annotation) if field else None
    return sorted(place.model_fields) if place is not None else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if found := _model_in(argument):
            return found
    return None
