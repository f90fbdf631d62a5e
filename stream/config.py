"""Strict settings: YAML in, frozen values out.

An unknown key, a wrong type or an impossible value is an error that names the key, the rule and the value
found. configs/default.yaml explains every key; a test holds it and this file to the same defaults.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from stream.capture.address import AddressError, redact, source_kind

Probability = Annotated[float, Field(gt=0, lt=1)]
LocalPath = Annotated[Path, Field(strict=False), AfterValidator(lambda path: path.expanduser())]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")]


class ConfigError(ValueError):
    """A setting that cannot be used. The message names the key, the rule and the value found."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True)


class Camera(_Strict):
    """One source of frames."""

    name: Name
    url: str
    transport: Literal["tcp", "udp"] = "tcp"
    reader: Literal["auto", "rtp", "av"] = "auto"
    decoder: Literal["auto", "software"] = "auto"
    timeout_s: Annotated[float, Field(ge=0.5, le=60)] = 3.0

    @field_validator("url")
    @classmethod
    def _known_kind(cls, url: str) -> str:
        try:
            source_kind(url)
        except AddressError as error:
            raise ValueError(str(error)) from None
        return url


class Detection(_Strict):
    """MTCNN, and how often it searches a whole frame."""

    min_face: Annotated[int, Field(ge=12, le=1000)] = 40
    thresholds: tuple[Probability, Probability, Probability] = (0.6, 0.7, 0.7)
    every_ms: Annotated[int, Field(ge=0, le=5000)] = 240

    @field_validator("thresholds", mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


class Tracking(_Strict):
    """Faces between two searches."""

    lost_after_ms: Annotated[int, Field(ge=40, le=10000)] = 600
    min_score: Probability = 0.6


class Quality(_Strict):
    """Faces below these limits are shown but not recognised."""

    min_eye_distance: Annotated[float, Field(ge=4, le=500)] = 18.0
    max_yaw_degrees: Annotated[float, Field(gt=0, le=90)] = 40.0
    min_sharpness: Annotated[float, Field(ge=0)] = 20.0


class Unmasking(_Strict):
    """The reconstruction shown for masked faces."""

    enabled: bool = True
    every_ms: Annotated[int, Field(ge=40, le=60000)] = 1000


class Recognition(_Strict):
    """Matching against the people enrolled."""

    gallery: LocalPath = Path("~/.local/share/unvizard/gallery.sqlite3")
    every_ms: Annotated[int, Field(ge=40, le=60000)] = 400
    decide_at: Probability = 0.9
    prior_enrolled: Probability = 0.5


class Engines(_Strict):
    """How the networks run."""

    backend: Literal["auto", "openvino", "onnxruntime", "torch", "tensorrt"] = "auto"
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    cache: LocalPath = Path("~/.cache/unvizard/engines")


class Display(_Strict):
    """The live page."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8300
    jpeg_quality: Annotated[int, Field(ge=30, le=100)] = 80

    @field_validator("host")
    @classmethod
    def _this_machine_only(cls, host: str) -> str:
        if host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError(
                "must be 127.0.0.1, ::1 or localhost: the page has no accounts and so serves this machine only "
                "(put a proxy that asks for a password in front of it to reach it from elsewhere)"
            )
        return host


class Ring(_Strict):
    """Shared memory for frames."""

    slots: Annotated[int, Field(ge=4, le=256)] = 16


class Settings(_Strict):
    """Everything that can be set."""

    cameras: tuple[Camera, ...] = ()
    detection: Detection = Detection()
    tracking: Tracking = Tracking()
    quality: Quality = Quality()
    unmasking: Unmasking = Unmasking()
    recognition: Recognition = Recognition()
    engines: Engines = Engines()
    display: Display = Display()
    ring: Ring = Ring()

    @field_validator("cameras", mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _names_differ(self) -> Settings:
        names = [camera.name for camera in self.cameras]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"cameras: names must differ, found {name!r} {names.count(name)} times")
        return self


def load(path: Path) -> Settings:
    """The settings of a YAML file. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not YAML: {_one_line(str(error))}") from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must be a mapping of keys to values, found {type(data).__name__}")
    return parse(data, str(path))


def parse(data: dict[str, Any], origin: str) -> Settings:
    """The settings of plain values. Raises ConfigError; origin is named in its message."""
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        lines = [_sentence(problem) for problem in error.errors()]
        raise ConfigError(f"{origin}: " + "; ".join(lines)) from None


def _sentence(problem: Any) -> str:
    """One problem as "key: rule, found value", without passwords."""
    where = ".".join(str(part) for part in problem["loc"]) or "settings"
    found = problem.get("input")
    if problem["type"] == "extra_forbidden":
        known = _keys_at(problem["loc"][:-1])
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known keys are {', '.join(sorted(known))}"
        return f"{where}: unknown key; {hint}"
    if problem["type"] == "missing":
        return f"{where}: must be given"
    rule = str(problem["msg"]).removeprefix("Value error, ")
    rule = rule[:1].lower() + rule[1:]
    if problem["loc"] == () or (problem["loc"] and problem["loc"][-1] == "url" and "found" in rule):
        return rule if problem["loc"] == () else f"{where}: {rule}"
    return f"{where}: {rule}, found {redact(repr(found))}"


def _keys_at(path: tuple[Any, ...]) -> list[str]:
    model: Any = Settings
    for part in path:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        model = Camera if part == "cameras" else annotation
    return list(model.model_fields)


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)
