"""Changes in the text of a settings file that leave everything else in it as somebody wrote it, comments too."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import yaml

from stream.web.settings_form import form, value_at

_HEAD = "# Settings of Unvizard. The versions before, with what was written there by hand, are kept beside this file.\n"


def changed(text: str, before: Mapping[str, Any], after: Mapping[str, Any], paths: list[str]) -> str:
    """The text with the settings at `paths` as `after` has them; before: what the text says now, as plain values.

    What cannot be done in place (anchors, several keys on a line, …) is written as a whole anew.
    """
    made = text
    try:
        for path in paths:
            value, there = value_at(after, path)
            made = _set(made, path, value) if there else _unset(made, path)
        if (yaml.safe_load(made) or {}) == after:
            return made
    except (yaml.YAMLError, ValueError):
        pass
    return written(after)


def written(data: Mapping[str, Any]) -> str:
    """Plain values as a settings file, each with its explanation."""
    lines = [_HEAD]
    for section in form():
        if section.name not in data:
            continue
        lines.append("\n" + _comment(section.explanation))
        if not isinstance(data[section.name], Mapping):
            lines.append(f"{section.name}:{_value(data[section.name], '')}\n")
            continue
        lines.append(f"{section.name}:\n")
        for field in section.fields:
            value, there = value_at(data, field.path)
            if there:
                key = field.path.partition(".")[2]
                lines.append(
                    textwrap.indent(f"{_comment(field.explanation)}{key}:{_value(value, '')}\n", "  ")
                )
    return "".join(lines)


def _set(text: str, path: str, value: Any) -> str:
    section, _, key = path.partition(".")
    place = _find(text, section, key)
    if place is not None:
        start, end, indent = place
        return f"{text[:start]}:{_value(value, indent)}{text[end:]}"
    outer = _find(text, section, "") if key else None
    if outer is None:
        line = f"{section}:\n  {key}:{_value(value, '  ')}\n" if key else f"{section}:{_value(value, '')}\n"
        return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{line}"
    node = _root(text)
    inner = next(each for name, each in node.value if name.value == section)
    if not isinstance(inner, yaml.MappingNode) or inner.flow_style or not inner.value:
        raise ValueError("nothing can be added in place")
    column = inner.value[0][0].start_mark.column
    end = _end(text, inner)
    return f"{text[:end]}\n{' ' * column}{key}:{_value(value, ' ' * column)}{text[end:]}"


def _unset(text: str, path: str) -> str:
    section, _, key = path.partition(".")
    inner = next((each for name, each in _root(text).value if name.value == section), None)
    only = key and isinstance(inner, yaml.MappingNode) and len(inner.value) == 1
    place = _find(text, section, "" if only else key)
    if place is None:
        return text
    start, end, _ = place
    begin = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", end)
    return text[:begin] + (text[stop + 1 :] if stop >= 0 else "")


def _find(text: str, section: str, key: str) -> tuple[int, int, str] | None:
    """(where a key's colon stands, where its value ends, how far the key is indented); None when it is not there."""
    node: yaml.Node = _root(text)
    for name in (section, key) if key else (section,):
        if not isinstance(node, yaml.MappingNode):
            return None
        pair = next((pair for pair in node.value if pair[0].value == name), None)
        if pair is None:
            return None
        found, node = pair
    start = found.end_mark.index
    return start, max(_end(text, node), text.index(":", start) + 1), " " * found.start_mark.column


def _root(text: str) -> yaml.MappingNode:
    node = yaml.compose(text, yaml.SafeLoader)
    if node is None:
        return yaml.MappingNode("tag:yaml.org,2002:map", [])
    if not isinstance(node, yaml.MappingNode):
        raise ValueError("is no mapping")
    return node


def _end(text: str, node: yaml.Node) -> int:
    """Where a value ends; the comments and empty lines behind a block belong to what follows."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    end = int(node.end_mark.index)
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        end = len(text[:end].rstrip())
    return end


def _value(value: Any, indent: str) -> str:
    """A value behind a key and its colon: on the same line, or as a block below it."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        items = "".join("- " + _flow(item) + "\n" for item in value)
        return "\n" + textwrap.indent(items.rstrip("\n"), indent + "  ")
    return " " + _flow(value)


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**9)
    return text.removesuffix("...\n").strip()


def _comment(text: str) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in text.splitlines())
