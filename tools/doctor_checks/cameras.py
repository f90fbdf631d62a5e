"""Each camera of the settings: reached, spoken to and decoded for a moment, as the pipeline would."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

from stream.capture.address import redact
from stream.capture.opening import Opener
from stream.capture.source import NoSuchStream, SourceError, SourceRefused, Stopped, Unit
from stream.config import Camera, Settings
from tools.doctor_checks.finding import Finding, fault, ok, warning

_AT_ONCE = 8
_GIVE_UP_S = 15.0
_WATCHED_S = 3.0
_SLOW_KEY_S = 4.0


@dataclass(slots=True)
class _Seen:
    """What came from a camera; a sink of access units as well."""

    began: float = field(default_factory=time.monotonic)
    first_key_s: float = 0.0
    keys: int = 0
    received: int = 0
    lost: int = 0

    def take(self, unit: Unit) -> None:
        """Count an access unit."""
        self.received += len(unit.data)
        if unit.key:
            self.keys += 1
            self.first_key_s = self.first_key_s or time.monotonic() - self.began

    def lose(self, reason: str) -> None:
        """Count one that did not come whole."""
        self.lost += 1

    def break_off(self, reason: str) -> None:
        """Nothing hangs on what came before."""


def cameras(settings: Settings) -> Iterator[Finding]:
    """All cameras, several at once."""
    if not settings.cameras:
        yield ok("cameras", "none in the settings: name some as --config site.yaml to have them looked at")
        return
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(_look, settings.cameras)


def _look(camera: Camera) -> Finding:
    seen, end = _Seen(), time.monotonic() + _GIVE_UP_S
    pictures, first_s, last_s, size = 0, 0.0, 0.0, ""
    address = redact(camera.url)
    try:
        with closing(Opener(camera, lambda: time.monotonic() < end, sink=seen).open()) as source:
            for picture in source.pictures():
                last_s = time.monotonic() - seen.began
                if not pictures:
                    first_s, size = last_s, f"{picture.width} x {picture.height}"
                    end = min(end, time.monotonic() + _WATCHED_S)
                pictures += 1
            facts = source.facts
    except Stopped:
        return fault(camera.name, f"{address}: no answer within {_GIVE_UP_S:.0f} s", _remedy(None))
    except SourceError as error:
        return fault(camera.name, redact(str(error)), _remedy(error))
    if not pictures:
        return fault(camera.name, f"{address}: no picture within {_GIVE_UP_S:.0f} s", _remedy(None))
    pace = (pictures - 1) / (last_s - first_s) if last_s > first_s else 0.0
    rate = seen.received * 8e-6 / max(last_s - first_s, 0.1)
    key_s = seen.first_key_s or first_s
    found = (
        f"{facts.codec} {size}, {pace:.1f} pictures a second, {rate:.1f} Mbit/s, "
        f"first key picture after {key_s:.2f} s, read by {facts.reader}, decoded by {facts.decoder}"
    )
    if facts.note:
        found += f"; {redact(facts.note)}"
    if facts.corrupt or seen.lost:
        advice = "pictures come damaged: use transport: tcp, or look at cable, switch and radio link"
        return warning(camera.name, f"{found}; {facts.corrupt + seen.lost} damaged", advice)
    if facts.late:
        advice = "decoding does not keep up: let the camera send a smaller picture or fewer a second"
        return warning(camera.name, f"{found}; {facts.late} came too late", advice)
    if key_s > _SLOW_KEY_S:
        advice = (
            "set the camera's key frame (I-frame) interval to one or two seconds: reconnecting waits for one"
        )
        return warning(camera.name, found, advice)
    return ok(camera.name, found)


def _remedy(error: SourceError | None) -> str:
    """What to do. The error's own sentence says what was found."""
    if isinstance(error, NoSuchStream):
        return "look up the stream's path in the camera's manual, and put it behind the port"
    if isinstance(error, SourceRefused):
        return "mend the address, user name, password or transport in the settings, as the sentence says"
    return "check that the camera has power and network, that its address is right, and that no firewall is between"
