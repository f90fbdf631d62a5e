"""Strict settings: YAML in, frozen values out.

An unknown key, a wrong type or an impossible value is an error that names the key, the rule and the value
found. configs/default.yaml explains every key; a test holds it and this file to the same defaults.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
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
RecordingMode = Annotated[
    Literal["off", "continuous", "events", "motion"],
    BeforeValidator(
        lambda value: "off" if value is False else value
    ),  # YAML reads off without quotes as false
]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Share = Annotated[float, Field(ge=0, le=1)]


class ConfigError(ValueError):
    """A setting that cannot be used. The message names the key, the rule and the value found."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True)


def _tuples(value: Any) -> Any:
    """The lists of YAML and JSON as the tuples that settings hold, at every depth."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


Listed = BeforeValidator(_tuples)


def _time_of_day(value: Any) -> Any:
    # YAML reads 22:30 without quotes as the number 1350, in base sixty.
    return f"{value // 60:02d}:{value % 60:02d}" if type(value) is int and 0 <= value < 1440 else value


TimeOfDay = Annotated[str, BeforeValidator(_time_of_day), Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


def _differ(where: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{where}: names must differ, found {name!r} {names.count(name)} times")


class Camera(_Strict):
    """One source of frames."""

    name: Name
    url: str
    transport: Literal["tcp", "udp"] = "tcp"
    reader: Literal["auto", "rtp", "av"] = "auto"
    decoder: Literal["auto", "software"] = "auto"
    timeout_s: Annotated[float, Field(ge=0.5, le=60)] = 3.0
    recording: RecordingMode | None = None

    @field_validator("url")
    @classmethod
    def _known_kind(cls, url: str) -> str:
        try:
            source_kind(url)
        except AddressError as error:
            raise ValueError(str(error)) from None
        return url


class Detection(_Strict):
    """Which detector finds faces, what it takes for one, and how often it searches a whole frame."""

    detector: Literal["fused", "mtcnn", "ssd", "yunet"] = "fused"
    min_face: Annotated[int, Field(ge=12, le=1000)] = 40
    thresholds: Annotated[tuple[Probability, Probability, Probability], Listed] = (0.6, 0.7, 0.7)
    min_score: Probability = 0.6
    every_ms: Annotated[int, Field(ge=0, le=5000)] = 240


class Tracking(_Strict):
    """Faces between two searches."""

    lost_after_ms: Annotated[int, Field(ge=40, le=10000)] = 600
    min_score: Probability = 0.6


class Quality(_Strict):
    """Faces beyond these limits are shown but not recognised; beyond the first two, not reconstructed either."""

    min_eye_distance: Annotated[float, Field(ge=4, le=500)] = 18.0
    max_yaw_degrees: Annotated[float, Field(gt=0, le=90)] = 40.0
    min_sharpness: Annotated[float, Field(ge=0)] = 20.0


class Unmasking(_Strict):
    """The reconstruction shown for masked faces."""

    enabled: bool = True
    every_ms: Annotated[int, Field(ge=40, le=60000)] = 1000
    generator: LocalPath | None = None


class Attributes(_Strict):
    """Estimates about faces that are no identity, for a stated purpose only."""

    enabled: bool = False
    purpose: Annotated[str, Field(max_length=500)] | None = None
    store: bool = False
    every_ms: Annotated[int, Field(ge=40, le=60000)] = 500

    @model_validator(mode="after")
    def _for_a_purpose(self) -> Attributes:
        if self.enabled and not (self.purpose or "").strip():
            raise ValueError(
                "purpose must say for which lawful purpose attributes are estimated when enabled is true, "
                f"found {self.purpose!r}"
            )
        return self


class Authenticity(_Strict):
    """Whether a face, or the mask on it, looks photographed or painted."""

    enabled: bool = False
    every_ms: Annotated[int, Field(ge=40, le=60000)] = 1000
    flag_at: Probability = 0.9


class Recognition(_Strict):
    """Matching against the people enrolled."""

    gallery: LocalPath = Path("~/.local/share/unvizard/gallery.sqlite3")
    every_ms: Annotated[int, Field(ge=40, le=60000)] = 400
    decide_at: Probability = 0.9
    false_alarms: Annotated[float, Field(gt=0, le=0.1)] = 0.001
    prior_enrolled: Probability = 0.5
    embedder: Literal["sface", "facenet"] = "sface"
    facenet_weights: LocalPath | None = None
    calibration: LocalPath | None = None

    @model_validator(mode="after")
    def _facenet_brings_its_files(self) -> Recognition:
        if self.embedder != "facenet" and self.facenet_weights is not None:
            raise ValueError(
                f"facenet_weights must be null unless embedder is facenet, found {str(self.facenet_weights)!r} "
                f"with {self.embedder}"
            )
        if self.embedder == "facenet" and self.facenet_weights is None:
            raise ValueError(
                "facenet_weights must be a file where embedder is facenet, whose weights are not shipped, found null"
            )
        if self.embedder == "facenet" and self.calibration is None:
            raise ValueError(
                "calibration must be a file where embedder is facenet, since the shipped one is sface's: name where it "
                "is to lie and make it with python -m tools.calibrate --config FILE, found null"
            )
        return self


class Engines(_Strict):
    """How the networks run."""

    backend: Literal["auto", "openvino", "onnxruntime", "torch", "tensorrt"] = "auto"
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    cache: LocalPath = Path("~/.cache/unvizard/engines")


class Signing(_Strict):
    """Who signs reconstructions and evidence bundles."""

    key: LocalPath = Path("~/.local/share/unvizard/signing.key")


_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


class Tls(_Strict):
    """The certificate that the page shows to browsers, and its private key: PEM files."""

    certificate: LocalPath
    key: LocalPath


class Display(_Strict):
    """Where the pages are served, and the pictures of the live page."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8300
    tls: Tls | None = None
    jpeg_quality: Annotated[int, Field(ge=30, le=100)] = 80
    video: Literal["auto", "always", "never"] = "auto"

    @property
    def this_machine_only(self) -> bool:
        """Whether nobody can reach the pages over the network."""
        return self.host in _THIS_MACHINE


class Accounts(_Strict):
    """Who may use the pages."""

    sign_in: bool = True
    store: LocalPath = Path("~/.local/share/unvizard/accounts.sqlite3")
    session_hours: Annotated[float, Field(ge=0.1, le=8760)] = 12.0
    idle_minutes: Annotated[float, Field(ge=1, le=525600)] = 60.0
    two_persons: bool = False

    @model_validator(mode="after")
    def _two_persons_can_be_told_apart(self) -> Accounts:
        if self.two_persons and not self.sign_in:
            raise ValueError("two_persons must be false where sign_in is false, found true")
        return self


class Ring(_Strict):
    """Shared memory for frames."""

    slots: Annotated[int, Field(ge=4, le=256)] = 16


class Recording(_Strict):
    """Footage that is kept."""

    mode: RecordingMode = "off"
    folder: LocalPath = Path("~/.local/share/unvizard/recordings")
    segment_s: Annotated[float, Field(ge=10, le=3600)] = 60.0
    pre_roll_s: Annotated[float, Field(ge=0, le=60)] = 5.0
    post_roll_s: Annotated[float, Field(ge=0, le=300)] = 10.0
    keep_days: Annotated[float, Field(gt=0, le=3650)] = 30.0
    keep_gb: Annotated[float, Field(gt=0)] = 100.0
    keep_free_gb: Annotated[float, Field(ge=0)] = 5.0
    keep_faces: bool = True


class Zone(_Strict):
    """A part of a camera's picture."""

    name: Name
    camera: str
    points: Annotated[tuple[tuple[Share, Share], ...], Listed, Field(min_length=3)]


class PrivacyZone(_Strict):
    """A part of a camera's picture that nobody is to see."""

    camera: str
    points: Annotated[tuple[tuple[Share, Share], ...], Listed, Field(min_length=3)]


class Privacy(_Strict):
    """What of the pictures nobody is to see."""

    blur_others: bool = False
    zones: Annotated[tuple[PrivacyZone, ...], Listed] = ()


class Rule(_Strict):
    """What makes a sighting an event, and who is told."""

    name: Name
    cameras: Annotated[tuple[str, ...], Listed] = ()
    who: Literal["anyone", "person", "unknown", "enrolled"] = "anyone"
    person: str | None = None
    mask: Literal["any", "none", "worn", "worn_wrongly"] = "any"
    zone: str | None = None
    from_time: TimeOfDay | None = None
    to_time: TimeOfDay | None = None
    days: Annotated[tuple[Weekday, ...], Listed] = ()
    dwell_s: Annotated[float, Field(ge=0, le=86400)] = 0.5
    cooldown_s: Annotated[float, Field(ge=1, le=86400)] = 60.0
    send_to: Annotated[tuple[str, ...], Listed] = ()
    snapshot: bool = False
    expires_h: Annotated[float, Field(gt=0, le=8760)] = 72.0

    @model_validator(mode="after")
    def _whole(self) -> Rule:
        if (self.who == "person") != (self.person is not None):
            raise ValueError(
                f"rule {self.name!r}: person must be given with who: person, and only then, "
                f"found who: {self.who} and person: {self.person}"
            )
        if (self.from_time is None) != (self.to_time is None):
            raise ValueError(
                f"rule {self.name!r}: from_time and to_time must be given together, "
                f"found {self.from_time} and {self.to_time}"
            )
        if self.from_time is not None and self.from_time == self.to_time:
            raise ValueError(
                f"rule {self.name!r}: from_time and to_time must differ (leave both out for the whole day), "
                f"found {self.from_time} twice"
            )
        return self


class WebHook(_Strict):
    """An address that is sent events, by HTTP POST."""

    name: Name
    url: Annotated[str, Field(pattern=r"^https?://[^\s/]")]
    secret: str | None = None
    timeout_s: Annotated[float, Field(ge=0.5, le=60)] = 5.0


class Mqtt(_Strict):
    """A broker that events are published to."""

    name: Name
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    topic: Annotated[str, Field(pattern=r"^[^+#\x00]+$")] = "unvizard/events"
    username: str | None = None
    password: str | None = None
    tls: bool = False


class Events(_Strict):
    """Rules, and where what they find is sent."""

    rules: Annotated[tuple[Rule, ...], Listed] = ()
    zones: Annotated[tuple[Zone, ...], Listed] = ()
    web_hooks: Annotated[tuple[WebHook, ...], Listed] = ()
    mqtt: Annotated[tuple[Mqtt, ...], Listed] = ()

    @model_validator(mode="after")
    def _names_lead_somewhere(self) -> Events:
        _differ("events.rules", [rule.name for rule in self.rules])
        _differ("events.zones", [zone.name for zone in self.zones])
        targets = [hook.name for hook in self.web_hooks] + [broker.name for broker in self.mqtt]
        _differ("events: web hooks and brokers", targets)
        zones = {zone.name for zone in self.zones}
        for rule in self.rules:
            if rule.zone is not None and rule.zone not in zones:
                raise ValueError(
                    f"events.rules: the zone of rule {rule.name!r} is not defined, found {rule.zone!r}"
                )
            for target in rule.send_to:
                if target not in targets:
                    raise ValueError(
                        f"events.rules: rule {rule.name!r} sends to what is not defined, found {target!r}"
                    )
        return self


class Settings(_Strict):
    """Everything that can be set."""

    cameras: Annotated[tuple[Camera, ...], Listed] = ()
    detection: Detection = Detection()
    tracking: Tracking = Tracking()
    quality: Quality = Quality()
    unmasking: Unmasking = Unmasking()
    authenticity: Authenticity = Authenticity()
    attributes: Attributes = Attributes()
    recognition: Recognition = Recognition()
    engines: Engines = Engines()
    signing: Signing = Signing()
    display: Display = Display()
    accounts: Accounts = Accounts()
    ring: Ring = Ring()
    recording: Recording = Recording()
    privacy: Privacy = Privacy()
    events: Events = Events()

    @model_validator(mode="after")
    def _names_differ(self) -> Settings:
        _differ("cameras", [camera.name for camera in self.cameras])
        return self

    @model_validator(mode="after")
    def _the_network_needs_locks(self) -> Settings:
        if not self.display.this_machine_only and not (self.display.tls and self.accounts.sign_in):
            missing = "display.tls" if self.accounts.sign_in else "accounts.sign_in: true"
            raise ValueError(
                "display.host: must be 127.0.0.1, ::1 or localhost unless there are display.tls (a certificate and its "
                f"key) and accounts.sign_in: true, found {self.display.host!r} without {missing}"
            )
        return self

    @model_validator(mode="after")
    def _privacy_zones_hold(self) -> Settings:
        names = {camera.name for camera in self.cameras}
        for zone in self.privacy.zones:
            if zone.camera in names and self.recording_mode(zone.camera) != "off":
                raise ValueError(
                    f"privacy.zones: {zone.camera!r} must not be recorded while it has a privacy zone, since its own "
                    "packets are kept, in which nothing can be blacked out: give the camera recording: off, found "
                    f"{self.recording_mode(zone.camera)}"
                )
        return self

    def unused_privacy_zones(self) -> set[str]:
        """The names in privacy zones that no camera has."""
        return {zone.camera for zone in self.privacy.zones} - {camera.name for camera in self.cameras}

    def recording_mode(self, camera: str) -> RecordingMode:
        """How a camera is recorded: its own setting, else the one for all."""
        own = next((each.recording for each in self.cameras if each.name == camera), None)
        return own or self.recording.mode

    def without_recording(self) -> Settings:
        """The same, where nothing is to be kept."""
        cameras = tuple(camera.model_copy(update={"recording": None}) for camera in self.cameras)
        recording = self.recording.model_copy(update={"mode": "off"})
        return self.model_copy(update={"cameras": cameras, "recording": recording, "events": Events()})

    @property
    def recording_active(self) -> bool:
        """Whether anything is to be kept: footage of a camera, or events."""
        return bool(self.events.rules) or any(
            self.recording_mode(camera.name) != "off" for camera in self.cameras
        )


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


def problems(data: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    """Everything that is wrong with plain values: where (keys and indices), and the sentence that says so."""
    try:
        Settings.model_validate(data)
    except ValidationError as error:
        return [(problem["loc"], _sentence(problem)) for problem in error.errors()]
    return []


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
    if problem["loc"][-1] in ("password", "secret") or isinstance(found, dict | list | tuple):
        return f"{where}: {rule}"  # what was found is a secret, or may hold one
    return f"{where}: {rule}, found {redact(repr(found))}"


def _keys_at(path: tuple[Any, ...]) -> list[str]:
    model: Any = Settings
    for part in path:
        if not isinstance(part, int):
            model = model.model_fields[part].annotation
            model = next(iter(get_args(model)), model)  # what a tuple holds
    return list(model.model_fields)


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)
