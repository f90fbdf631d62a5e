"""Where a mount's access units come from: a clip in a loop, or a tone. Encoders are in live.py."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import dropwhile
from pathlib import Path
from typing import Protocol

import av
from av.bitstream import BitStreamFilterContext

from tools.rtsp.media import (
    CLOCK,
    AccessUnit,
    Codec,
    Track,
    is_delimiter,
    is_parameter_set,
    split_annexb,
)
from tools.rtsp.packetize import packetize

VIDEO_PAYLOAD_TYPE = 96


class Source(Protocol):
    """Something that can be played in real time, any number of times in a row."""

    @property
    def tracks(self) -> tuple[Track, ...]:
        """What a session description offers."""
        ...

    def units(self) -> AsyncGenerator[AccessUnit, None]:
        """The access units from now on, each when it is due; the first is a key picture."""
        ...

    def request_key(self) -> None:
        """A client has joined: let a key picture come soon where that is possible."""
        ...


def ticks_now() -> int:
    """The monotonic clock in ticks of 1/90000 s."""
    return time.monotonic_ns() * 9 // 100_000


async def sleep_until(due: int) -> None:
    """Return when the monotonic clock reaches `due` ticks."""
    await asyncio.sleep(max(0.0, due / CLOCK - time.monotonic()))


@dataclass(frozen=True, slots=True)
class _Picture:
    decode: int  # ticks from the clip's first picture
    presentation: int
    key: bool
    payloads: tuple[bytes, ...]


class FileSource:
    """A clip (MP4, MKV, … with H.264 or H.265) read and packetised once, then looped without a seam.

    parameters_in_stream: whether parameter sets precede every key picture. Raises ValueError when the file is
    not video of these codecs, OSError when it cannot be read.
    """

    def __init__(self, path: str | Path, parameters_in_stream: bool = True) -> None:
        self._pictures, self._period, track = _read(Path(path), parameters_in_stream)
        self.tracks = (track,)

    async def units(self) -> AsyncGenerator[AccessUnit, None]:
        """The clip from its beginning, for ever."""
        start = ticks_now()
        while True:
            for picture in self._pictures:
                due = start + picture.decode
                await sleep_until(due)
                yield AccessUnit(0, due, start + picture.presentation, picture.key, picture.payloads)
            start += self._period

    def request_key(self) -> None:
        """A clip's key pictures are where they are."""


class ToneSource:
    """A 440 Hz tone in G.711 A-law (PCMA), 20 ms a packet: a camera that only has a microphone."""

    def __init__(self) -> None:
        self.tracks = (Track(Codec.PCMA, 8, 8000),)
        wave = [round(8000 * math.sin(2 * math.pi * 440 * n / 8000)) for n in range(8000)]
        sound = bytes(map(_a_law, wave))
        self._packets = tuple(sound[n : n + 160] for n in range(0, 8000, 160))

    async def units(self) -> AsyncGenerator[AccessUnit, None]:
        """The tone, for ever."""
        due = ticks_now()
        while True:
            for packet in self._packets:
                await sleep_until(due)
                yield AccessUnit(0, due, due, True, (packet,))
                due += CLOCK // 50

    def request_key(self) -> None:
        """Sound has no key pictures."""


class Together:
    """Several sources as the tracks of one mount, for instance a clip and its sound."""

    def __init__(self, *sources: Source) -> None:
        self._sources = sources
        self.tracks = tuple(track for source in sources for track in source.tracks)

    async def units(self) -> AsyncGenerator[AccessUnit, None]:
        """The access units of all sources in the order in which they are due."""
        queue: asyncio.Queue[AccessUnit | Exception] = asyncio.Queue(8)

        async def feed(source: Source, first: int) -> None:
            try:
                async with aclosing(source.units()) as units:
                    async for unit in units:
                        await queue.put(replace(unit, track=unit.track + first))
            except Exception as error:
                await queue.put(error)

        tasks, first = [], 0
        for source in self._sources:
            tasks.append(asyncio.create_task(feed(source, first)))
            first += len(source.tracks)
        try:
            while True:
                unit = await queue.get()
                if isinstance(unit, Exception):
                    raise unit
                yield unit
        finally:
            for task in tasks:
                task.cancel()

    def request_key(self) -> None:
        """Passed on to every source."""
        for source in self._sources:
            source.request_key()


def _read(path: Path, parameters_in_stream: bool) -> tuple[list[_Picture], int, Track]:
    """The clip's pictures in decoding order, the length of one round in ticks, and its track."""
    try:
        container = av.open(str(path))
    except av.error.InvalidDataError:
        raise ValueError(f"a clip must be a video file, found {path}") from None
    with container:
        stream = next(iter(container.streams.video), None)
        name = stream.codec_context.name if stream is not None else "no video"
        if stream is None or name not in ("h264", "hevc"):
            raise ValueError(f"a clip must hold H.264 or H.265 video, found {name} in {path}")
        codec = Codec.H264 if name == "h264" else Codec.H265
        filtered = BitStreamFilterContext(f"{name}_mp4toannexb", stream)
        coded: list[tuple[int, bool, list[bytes]]] = []  # time, key, NAL units
        frame = round(CLOCK / Fraction(stream.average_rate or 25))
        for packet in container.demux(stream):
            for part in filtered.filter(packet):
                if part.size and part.pts is not None and part.time_base is not None:
                    moment = round(part.pts * part.time_base * CLOCK)
                    coded.append((moment, part.is_keyframe, split_annexb(bytes(part))))
    coded = list(dropwhile(lambda picture: not picture[1], coded))
    if not coded:
        raise ValueError(f"a clip must hold at least one key picture, found none in {path}")
    parameters = parameter_sets(codec, coded[0][2])
    if not parameters:
        raise ValueError(f"a clip must hold parameter sets, found none in {path}")
    # The n-th picture to decode leaves at the n-th time to show: not every container stores decoding times.
    times = sorted(moment for moment, _, _ in coded)
    pictures = [
        _Picture(
            due - times[0],
            moment - times[0],
            key,
            payloads(codec, nals, key, parameters, parameters_in_stream),
        )
        for due, (moment, key, nals) in zip(times, coded, strict=True)
    ]
    return pictures, times[-1] - times[0] + frame, Track(codec, VIDEO_PAYLOAD_TYPE, CLOCK, parameters)


def parameter_sets(codec: Codec, nals: list[bytes]) -> tuple[bytes, ...]:
    """The parameter sets among NAL units, each once, in order."""
    return tuple(dict.fromkeys(nal for nal in nals if is_parameter_set(codec, nal)))


def payloads(
    codec: Codec, nals: list[bytes], key: bool, parameters: tuple[bytes, ...], in_stream: bool
) -> tuple[bytes, ...]:
    """The RTP payloads of one picture; a key picture begins with parameter sets if in_stream."""
    own = parameter_sets(codec, nals)
    body = [nal for nal in nals if not is_parameter_set(codec, nal) and not is_delimiter(codec, nal)]
    if in_stream and key:
        body = [*(own or parameters), *body]
    return packetize(codec, body)


def _a_law(sample: int) -> int:
    """A sample of 16 bits in G.711 A-law."""
    sign, magnitude = (0x80, sample) if sample >= 0 else (0, -sample - 1)
    exponent = max(0, magnitude.bit_length() - 8)
    mantissa = magnitude >> (exponent + 3 if exponent else 4) & 15
    return (sign | exponent << 4 | mantissa) ^ 0x55
