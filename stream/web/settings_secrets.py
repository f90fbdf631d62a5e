"""Passwords in settings: a page gets *** in their place, and *** that comes back means that nothing was changed.

What is kept is put back only where the address it is for is the same: else somebody could send a camera's password to a
machine of their own without ever having seen it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream.capture.address import redact

HIDDEN = "***"
_SECRET_KEYS = ("password", "secret")
_ADDRESS_KEYS = ("url", "host", "port")


class SecretLost(ValueError):
    """*** stands where nothing is kept. path: keys and indices; the text is a sentence."""

    def __init__(self, path: tuple[str | int, ...], sentence: str) -> None:
        super().__init__(sentence)
        self.path = path


def hidden(value: Any) -> Any:
    """Plain values without the secrets in them, at every depth."""
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if key in _SECRET_KEYS and inner is not None else hidden(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [hidden(inner) for inner in value]
    return redact(value) if isinstance(value, str) else value


def put_back(new: Any, kept: Any, path: tuple[str | int, ...] = ()) -> Any:
    """The new value with the secrets of the kept one where it says ***. Members of lists are known by their name.

    Raises SecretLost.
    """
    if isinstance(new, list):
        known = kept if isinstance(kept, list) else []
        named = {item["name"]: item for item in known if isinstance(item, Mapping) and "name" in item}
        return [
            put_back(item, named.get(item.get("name")) if isinstance(item, Mapping) else None, (*path, index))
            for index, item in enumerate(new)
        ]
    if isinstance(new, Mapping):
        old = kept if isinstance(kept, Mapping) else {}
        same = all(new.get(key) == hidden(old.get(key)) for key in _ADDRESS_KEYS)
        return {key: _value(key, inner, old.get(key), same, (*path, key)) for key, inner in new.items()}
    return new


def _value(key: str, new: Any, old: Any, same: bool, path: tuple[str | int, ...]) -> Any:
    if not isinstance(new, str):
        return put_back(new, old, path)
    masked = new == HIDDEN if key in _SECRET_KEYS else HIDDEN in new
    if not masked:
        return new
    if old is None or not same or (key not in _SECRET_KEYS and new != hidden(old)):
        raise SecretLost(
            path, f"*** stands for what is kept for the same address only: write {key} out, found {new!r}"
        )
    return old
