"""What a camera is before it is added: `python -m stream.capture.probe`, a process that hostile streams may take down.

Reads {"url", "transport", "timeout_s"} as one line of JSON, and writes what was found as one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from typing import Literal

import msgspec

from stream.capture.opening import Opener
from stream.capture.source import SourceError, Stopped
from stream.config import Camera

GIVE_UP_AFTER_S = 12.0
_WATCH_S = 1.5


class Probe(msgspec.Struct, frozen=True):
    """What was asked for."""

    url: str
    transport: Literal["tcp", "udp"] = "tcp"
    timeout_s: float = 3.0


class Finding(msgspec.Struct, frozen=True):
    """What was found. sentence: for people; first_picture_s: from the first word to the first picture."""

    reachable: bool
    sentence: str
    codec: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    first_picture_s: float = 0.0


def probe(wanted: Probe) -> Finding:
    """Look at a camera for some seconds."""
    camera = Camera(name="probe", url=wanted.url, transport=wanted.transport, timeout_s=wanted.timeout_s)
    began_s = time.monotonic()
    until_s = began_s + GIVE_UP_AFTER_S
    first_s = 0.0
    times_ns: list[int] = []
    try:
        with closing(Opener(camera, lambda: time.monotonic() < until_s).open()) as source:
            for picture in source.pictures():
                now_s = time.monotonic()
                times_ns.append(picture.media_ns)
                if not first_s:
                    first_s, until_s = now_s - began_s, now_s + _WATCH_S
                width, height, codec = picture.width, picture.height, source.facts.codec
    except Stopped:
        pass
    except SourceError as error:
        if not times_ns:
            return Finding(False, f"not reachable: {error}")
    if not times_ns:
        return Finding(False, f"it answers, but no picture came within {GIVE_UP_AFTER_S:.0f} s")
    passed_s = (times_ns[-1] - times_ns[0]) / 1e9
    fps = round((len(times_ns) - 1) / passed_s, 1) if passed_s > 0 else 0.0
    sentence = f"reachable, {codec} {width}×{height} {fps:g} fps, first key frame after {first_s:.1f} s"
    return Finding(True, sentence, codec, width, height, fps, round(first_s, 2))


def main() -> int:
    """Answer the one question on standard input."""
    found = probe(msgspec.json.decode(sys.stdin.buffer.readline(), type=Probe))
    print(json.dumps(msgspec.to_builtins(found), ensure_ascii=False), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
