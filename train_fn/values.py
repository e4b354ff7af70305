"""From YAML and --set to a validated model. Errors name every bad key, and the nearest known one."""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from train_fn.errors import InputError

Model = TypeVar("Model", bound=BaseModel)
LONGEST_FILE = 100_000  # bytes; ours have 4,000, and 10 MB of YAML take minutes to read
SHOWN = 200  # characters of a value in a message


class Frozen(BaseModel):
    """Validated once at the edge, then never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Settings(Frozen):
    """What a person sets. Numbers are finite, and a truth value is no number: YAML's `on` is not 1."""

    model_config = ConfigDict(allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("must not be a truth value (true, false, yes, no, on, off)")
        return value


class PlainLoader(yaml.SafeLoader):
    """YAML without aliases, whose values may grow without bound, and without a key that stands twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="an alias (*name); write its value out", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        seen: set[str] = set()
        for key in keys:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML mapping. Raises InputError when it is missing, broken, too long, or no mapping."""
    try:
        if (size := path.stat().st_size) > LONGEST_FILE:
            raise InputError(f"{path} must have at most {LONGEST_FILE:,} bytes, but has {size:,}; cut it")
        value = _parsed(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} must be a readable YAML file, but: {error}; mend it") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{path} must hold `key: value` lines, but holds a {type(value).__name__}; mend it")
    return value


def shown(value: Any) -> str:
    """A value in a message: ASCII, and not all of a long one."""
    text = ascii(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint such as "; did you mean lora_rank?", or the list of what is known."""
    choices = list(known)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(choices)}"


def build(model: type[Model], values: Mapping[str, Any], source: str) -> Model:
    """Validate `values` as `model`. Raises InputError that names every bad key at once."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        lines = [_explain(dict(item), model) for item in error.errors()]
        raise InputError(f"{source}:\n  " + "\n  ".join(lines)) from error


def summed_up(error: ValueError) -> str:
    """What keeps a record from being one, in one line: of many things the first three."""
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())[:SHOWN]
    lines = [_explain(dict(item)) for item in error.errors()]
    return "; ".join(lines[:3]) + (f"; and {len(lines) - 3} more" if len(lines) > 3 else "")


def _explain(item: Mapping[str, Any], model: type[BaseModel] | None = None) -> str:
    key = ".".join(str(part) for part in item["loc"]) or "it"
    if model and item["type"] == "extra_forbidden":
        return f"unknown key {key}; {nearest(str(item['loc'][-1]), model.model_fields)}"
    return f"{key}: {item['msg'].removeprefix('Value error, ')}, but got {shown(item['input'])}"


def parse_sets(pairs: Iterable[str]) -> dict[str, Any]:
    """Turn `key=value` words into a mapping; values are read as YAML (and `3e-4` as a number).

    Raises InputError for what is none, and for a key with two values.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        key = name.strip()
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", key):
            raise InputError(
                f"--set takes key=value, for example --set batch_size=128, but got {shown(pair)}"
            )
        try:
            value = _parsed(text)
        except ValueError as error:
            raise InputError(
                f"--set {key}: the value must be a YAML scalar or list, but {shown(text)} is not: {error}"
            ) from error
        if key in values and values[key] != value:
            both = f"{shown(values[key])} and {shown(value)}"
            raise InputError(f"--set {key} must have one value, but is given as {both}; leave one out")
        values[key] = value
    return values


def _parsed(text: str) -> Any:
    """The value of a YAML text. Raises ValueError."""
    try:
        return yaml.load(text, Loader=PlainLoader)
    except (
        Exception
    ) as error:  # its constructors raise what they meet: KeyError for `!!bool x`, RecursionError
        raise ValueError(" ".join(str(error).split())[:SHOWN] or type(error).__name__) from error
