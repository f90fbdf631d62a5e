"""The settings: every one with its explanation, changed by an administrator, with a history to go back in."""

from __future__ import annotations

import difflib
import re
from dataclasses import asdict
from typing import Any

import yaml
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from stream.capture.address import redact
from stream.config import ConfigError, parse, problems
from stream.web.asking import account_of, office_of
from stream.web.pages import respond
from stream.web.settings_file import ChangedMeanwhile, SettingsFile, plain, revision_of
from stream.web.settings_form import fields, form, shown, taken, value_at, with_value, without_value
from stream.web.settings_secrets import SecretLost, hidden, put_back
from stream.web.settings_text import changed

router = APIRouter(tags=["settings"])


class _Unusable(ValueError):
    """Settings that cannot be used: a sentence for each field, "" for those that are of no field."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__("; ".join(fields.values()))
        self.fields = fields

    def answer(self) -> Response:
        return JSONResponse({"detail": str(self), "fields": self.fields}, 422)


_MOST_SAID = 300


class Change(BaseModel):
    """revision: of the file that the change is for. set: values by path, those of kind "yaml" as YAML; unset: back to
    the default.
    """

    model_config = ConfigDict(extra="forbid")

    revision: str
    set: dict[str, Any] = {}
    unset: list[str] = []


@router.get("/settings")
def page(request: Request) -> Response:
    """The page."""
    return respond("settings", account_of(request))


@router.get("/api/settings")
def settings(request: Request) -> dict[str, Any]:
    """Every setting with its explanation, its value in the file, and what runs. Passwords are replaced by ***."""
    file = office_of(request).settings_file
    text, data, problem = "", {}, ""
    if file is not None:
        try:
            text = file.text()
            data = plain(text, file.path.name)
            parse(data, file.path.name)
        except ConfigError as error:
            problem = redact(str(error))
    masked = hidden(data)
    return {
        "file": str(file.path) if file else None,
        "revision": revision_of(text),
        "problem": problem,
        "waits_for_start": [] if problem or file is None else _waiting(request, data),
        "sections": [
            {
                "name": section.name,
                "explanation": section.explanation,
                "fields": [
                    {
                        **asdict(field),
                        "default": shown(field, field.default),
                        "value": shown(field, value_at(masked, field.path)[0]),
                        "set": value_at(data, field.path)[1],
                    }
                    for field in section.fields
                ],
            }
            for section in form()
        ],
    }


@router.post("/api/settings/check")
def check(request: Request, change: Change) -> Response:
    """Whether a change would be accepted; nothing is saved. 422 with the sentence at each field when not."""
    try:
        _changed(_file(request), change)
    except _Unusable as error:
        return error.answer()
    return JSONResponse({"detail": "this can be saved"})


@router.put("/api/settings")
def save(request: Request, change: Change) -> Response:
    """Save a change. It takes effect when the stages, or for some settings Unvizard, are started the next time."""
    file = _file(request)
    try:
        text, before, after = _changed(file, change)
    except _Unusable as error:
        return error.answer()
    paths = [path for path in fields() if value_at(before, path) != value_at(after, path)]
    if not paths:
        return JSONResponse({"detail": "nothing differs from what is saved"})
    return _saved(request, changed(text, before, after, paths), _said(before, after, paths), change.revision)


@router.get("/api/settings/history")
def history(request: Request) -> list[dict[str, Any]]:
    """The versions that were saved, the newest first, each with what its file says that the one before did not."""
    file = _file(request)
    versions = file.versions()
    texts = [_without_secrets(file.version(version.wall_ns) or "") for version in versions]
    return [
        {
            "version": str(version.wall_ns),
            "wall_ms": version.wall_ns // 1_000_000,
            "by": version.by,
            "what": version.what,
        }
        | {"difference": _difference(older, text)}
        for version, text, older in zip(versions, texts, [*texts[1:], []][: len(texts)], strict=True)
    ]


@router.post("/api/settings/history/{version}")
def restore(request: Request, version: int, revision: str) -> Response:
    """Go back to a version: it is checked as any change is, and saved as the newest."""
    file = _file(request)
    text = file.version(version)
    if text is None:
        raise HTTPException(404, "there is no such version")
    try:
        _check(plain(text, file.path.name))
    except ConfigError as error:
        raise HTTPException(422, redact(str(error))) from None
    except _Unusable as error:
        return error.answer()
    return _saved(request, text, "back to an earlier version", revision)


def _file(request: Request) -> SettingsFile:
    file = office_of(request).settings_file
    if file is None:
        raise HTTPException(
            409, "Unvizard was started without --config, so there is no file to write settings to"
        )
    return file


def _changed(file: SettingsFile, change: Change) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """(the text as it is, its plain values, the plain values with the change). Raises _Unusable."""
    known = fields()
    for path in (*change.set, *change.unset):
        if path not in known:
            raise HTTPException(422, f"{path}: unknown setting")
    try:
        text = file.text()
        before = plain(text, file.path.name)
    except ConfigError as error:
        raise HTTPException(409, redact(str(error))) from None
    if revision_of(text) != change.revision:
        raise HTTPException(409, f"{file.path.name} was changed in the meantime: load the page again")
    after = before
    for path, value in change.set.items():
        try:
            value = taken(known[path], value)
            after = with_value(after, path, put_back(value, value_at(before, path)[0]))
        except SecretLost as lost:
            where = ".".join(map(str, (path, *lost.path)))
            raise _Unusable({path: f"{where}: {lost}"}) from None
        except ValueError as error:
            raise _Unusable({path: f"{path}: {error}"}) from None
    for path in change.unset:
        after = without_value(after, path)
    _check(after)
    return text, before, after


def _check(data: dict[str, Any]) -> None:
    """Raises _Unusable."""
    at: dict[str, str] = {}
    for where, sentence in problems(data):
        path = _field_of(".".join(map(str, where)))
        path = path if path in fields() else _field_of(sentence)
        at[path] = f"{at[path]}; {sentence}" if path in at else sentence
    if at:
        raise _Unusable(at)


def _field_of(text: str) -> str:
    """The field that a dotted place lies in, or that a sentence begins with; "" when it is none."""
    match = re.match(r"[a-z_]+(\.[a-z_0-9]+)*", text)
    parts = match[0].split(".") if match else []
    candidates = (".".join(parts[:2]), parts[0] if parts else "")
    return next((path for path in candidates if path in fields()), "")


def _saved(request: Request, text: str, what: str, revision: str) -> Response:
    office, account, file = office_of(request), account_of(request), _file(request)
    try:
        version = file.save(text, account.name, what, revision)
    except ChangedMeanwhile as error:
        raise HTTPException(409, str(error)) from None
    except OSError as error:
        raise HTTPException(
            507, f"{file.path.name} cannot be written: {error.strerror}; nothing was changed"
        ) from None
    office.journal.write(account, "changed settings", what)
    return JSONResponse({"detail": "saved", "revision": revision_of(text), "version": str(version.wall_ns)})


def _said(before: dict[str, Any], after: dict[str, Any], paths: list[str]) -> str:
    """What a change does, in a few words without secrets."""
    known, old, new = fields(), hidden(before), hidden(after)
    words = []
    for path in paths:
        values = [value_at(each, path) for each in (old, new)]
        if known[path].kind == "yaml":
            words.append(f"{path} changed")
        else:
            one, other = (repr(value) if there else "default" for value, there in values)
            words.append(f"{path}: {one} → {other}")
    return "; ".join(words)[:_MOST_SAID]


def _waiting(request: Request, data: dict[str, Any]) -> list[str]:
    """The settings in the file that differ from those that run."""
    running = office_of(request).settings.model_dump(mode="json")
    filed = parse(data, "settings").model_dump(mode="json")
    return [path for path in fields() if value_at(running, path) != value_at(filed, path)]


def _without_secrets(text: str) -> list[str]:
    """The lines of a version that a page may have: its values without secrets, in one order."""
    try:
        data = plain(text, "settings")
    except ConfigError:
        return ["(this version cannot be read)"]
    return yaml.safe_dump(hidden(data), sort_keys=True, allow_unicode=True).splitlines() if data else []


def _difference(old: list[str], new: list[str]) -> list[str]:
    lines = difflib.unified_diff(old, new, lineterm="", n=1)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]
