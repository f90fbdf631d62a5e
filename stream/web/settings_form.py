"""Every setting as a page shows it: its explanation, what it may be, what it is.

The explanations are the comments of configs/default.yaml, the choices are stream.config's: neither is said twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

import stream
from stream.config import Settings

Kind = Literal["truth", "choice", "whole", "number", "text", "yaml"]
Values = Mapping[str, Any]

_DEFAULTS = Path(stream.__file__).parents[1] / "configs" / "default.yaml"
_KEY = re.compile(r"^( *)([a-z_]+):")


@dataclass(frozen=True, slots=True)
class Field:
    """One setting. path: as "detection.min_face", or "cameras". optional: null is a value too. default: plain.

    kind "yaml": lists and mappings, which are written as YAML.
    """

    path: str
    explanation: str
    kind: Kind
    choices: tuple[str, ...]
    optional: bool
    default: Any


@dataclass(frozen=True, slots=True)
class Section:
    """Settings that belong together."""

    name: str
    explanation: str
    fields: tuple[Field, ...]


@cache
def form() -> tuple[Section, ...]:
    """All settings, in the order of configs/default.yaml."""
    text = _DEFAULTS.read_text(encoding="utf-8")
    said, defaults = _explanations(text), yaml.safe_load(text)
    schema = Settings.model_json_schema()
    sections = []
    for name, default in defaults.items():
        part = _resolved(schema, schema["properties"][name])
        if isinstance(default, dict):
            fields = tuple(
                _field(f"{name}.{key}", said, _resolved(schema, part["properties"][key]), value)
                for key, value in default.items()
            )
            sections.append(Section(name, said[name], fields))
        else:
            field = _field(name, {name: ""}, part, default)
            sections.append(Section(name, said[name], (field,)))
    return tuple(sections)


def fields() -> dict[str, Field]:
    """All settings by their path."""
    return {field.path: field for section in form() for field in section.fields}


def shown(field: Field, value: Any) -> Any:
    """A value as the page has it: YAML for what is none of JSON's simple kinds."""
    if field.kind == "choice" and value is False:
        return "off"  # YAML reads off without quotes as false
    if field.kind != "yaml":
        return value
    flow = None if value and isinstance(value[0] if isinstance(value, list) else value, dict) else True
    return (
        ""
        if value in (None, [])
        else yaml.safe_dump(
            value, default_flow_style=flow, sort_keys=False, allow_unicode=True, width=100
        ).strip()
    )


def taken(field: Field, value: Any) -> Any:
    """The plain value of what the page sends. Raises ValueError with a sentence."""
    if value is None or field.kind != "yaml":
        return value
    if not isinstance(value, str):
        raise ValueError(f"must be written as YAML, found {type(value).__name__}")
    try:
        plain = yaml.safe_load(value)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ValueError(
            f"is not YAML{where}: {getattr(error, 'problem', None) or 'it cannot be read'}"
        ) from None
    return field.default if plain is None else plain


def value_at(data: Values, path: str) -> tuple[Any, bool]:
    """(value, whether it is there) of a setting in plain values."""
    section, _, key = path.partition(".")
    inner = data.get(section)
    if not key:
        return inner, section in data
    return (inner[key], True) if isinstance(inner, dict) and key in inner else (None, False)


def with_value(data: Values, path: str, value: Any) -> dict[str, Any]:
    """The plain values with one of them set."""
    section, _, key = path.partition(".")
    inner = data.get(section)
    return {**data, section: {**(inner if isinstance(inner, dict) else {}), key: value} if key else value}


def without_value(data: Values, path: str) -> dict[str, Any]:
    """The plain values without one of them, and without its section when nothing else is in it."""
    section, _, key = path.partition(".")
    rest = {name: value for name, value in data.items() if name != section}
    inner = data.get(section)
    kept = {k: v for k, v in inner.items() if k != key} if key and isinstance(inner, dict) else {}
    return {name: kept if name == section else data[name] for name in data if name in rest or kept}


def _explanations(text: str) -> dict[str, str]:
    """By path: the block of comment lines that stands right above a key."""
    found: dict[str, str] = {}
    comment: list[str] = []
    section = ""
    for line in text.splitlines():
        stripped = line.strip()
        match = _KEY.match(line)
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").removeprefix(" "))
        else:
            if match and comment:
                section = section if match[1] else match[2]
                found[f"{section}.{match[2]}" if match[1] else section] = "\n".join(comment)
            comment = []
    return found


def _field(path: str, said: Mapping[str, str], schema: Values, default: Any) -> Field:
    options = [schema, *schema.get("anyOf", ())]
    optional = any(option.get("type") == "null" for option in options)
    choices = next((tuple(option["enum"]) for option in options if "enum" in option), ())
    types = {option.get("type") for option in options}
    kind: Kind = "yaml"
    if choices:
        kind = "choice"
    elif "boolean" in types:
        kind = "truth"
    elif "integer" in types:
        kind = "whole"
    elif "number" in types:
        kind = "number"
    elif "string" in types:
        kind = "text"
    return Field(path, said[path], kind, choices, optional, default)


def _resolved(schema: Values, part: Values) -> Values:
    if "$ref" in part:
        found: Values = schema["$defs"][part["$ref"].rpartition("/")[2]]
        return found
    return part
