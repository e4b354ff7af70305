"""From YAML and --set to a validated model, and back. Errors name every bad key, and the nearest known one."""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from train_fn.errors import InputError

Model = TypeVar("Model", bound=BaseModel)


class Frozen(BaseModel):
    """Validated once at the edge, then never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML mapping. Raises InputError when it is missing, broken, or no mapping."""
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} must be a readable YAML file, but: {error}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{path} must hold `key: value` lines, but holds a {type(value).__name__}")
    return value


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint such as "; did you mean lora_rank?", or the list of what is known."""
    choices = list(known)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(choices)}"


def build(model: type[Model], values: Mapping[str, Any], source: str) -> Model:
    """Validate `values` as `model`. Raises InputError that names every bad key at once."""
    try:
        return model(**values)
    except ValidationError as error:
        lines = [_explain(model, values, dict(item)) for item in error.errors()]
        raise InputError(f"{source}:\n  " + "\n  ".join(lines)) from error


def _explain(model: type[BaseModel], values: Mapping[str, Any], item: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"unknown key {key}; {nearest(str(item['loc'][-1]), model.model_fields)}"
    return f"{key}: {item['msg']}, but got {item['input']!r}"


def parse_sets(pairs: Iterable[str]) -> dict[str, Any]:
    """Turn `key=value` words into a mapping; values are read as YAML (and `3e-4` as a number)."""
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][\w.]*", key.strip()):
            raise InputError(f"--set takes key=value, for example --set batch_size=128, but got {pair!r}")
        try:
            values[key.strip()] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"--set {key.strip()}: the value {text!r} is no YAML scalar or list") from error
    return values


def dump_yaml(config: BaseModel, path: Path) -> str:
    """The resolved configuration as YAML text, for a reader and for `path` beside a result."""
    return f"# {path.name}: resolved, as the run used it\n" + yaml.safe_dump(
        config.model_dump(mode="json"), sort_keys=False, allow_unicode=False
    )
