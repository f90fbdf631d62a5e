"""Recorded access units into pictures: bit for bit those that capture made of them live, and faster.

Live, no picture may be held back, so stream/capture/decoder.py forgoes threads for whole pictures. A recording has no
such hurry: pictures are decoded side by side and come in the order in which they are shown. The same software
decoder makes both, and the standards leave it no choice of the result.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av

from stream.capture.decoder import DamagedUnit, Decoded
from stream.capture.pixels import to_i420

_NANOSECOND = Fraction(1, 1_000_000_000)
_MOST_THREADS = 8


@dataclass(frozen=True, slots=True)
class Unit:
    """One access unit as the decoder takes it. label: its picture's media time, ns."""

    data: bytes
    label: int
    key: bool


class RecordingDecoder:
    """Decodes the units of one connection, in decoding order, from a key unit on.

    wanted: whether the picture of a label is to be given; others are decoded only as far as the wanted ones need them.
    It is asked again while damage is dealt with, so it must say no of what was given already.
    damaged: units that could not be decoded; after one nothing is given until the next key unit.
    """

    def __init__(self, codec: str, wanted: Callable[[int], bool], threads: int | None = None) -> None:
        self._codec, self._wanted = codec, wanted
        self._threads = threads or min(os.cpu_count() or 1, _MOST_THREADS)
        self._context = self._open()
        self._kept: list[Unit] = []  # since the key unit before the newest one, to begin again from there
        self._newest_key = 0
        self._intact = False
        self.damaged = 0

    def feed(self, unit: Unit) -> Iterator[Decoded]:
        """The pictures that this unit brings out."""
        self._keep(unit)
        if self._threads == 1:
            yield from self._carefully(unit)
            return
        try:
            yield from self._pictures(self._decode(unit))
        except DamagedUnit:
            # With threads nobody can tell which unit it was: go back, and on with one thread.
            self._threads, self._context = 1, self._open(1)
            for again in list(self._kept):
                yield from self._carefully(again)

    def drain(self) -> Iterator[Decoded]:
        """The pictures that are held back. After this comes a key unit, or nothing."""
        try:
            yield from self._pictures(self._decode(None))
        except DamagedUnit:
            self.damaged += 1
        self._context.flush_buffers()
        self._intact = False

    def _keep(self, unit: Unit) -> None:
        if unit.key:
            del self._kept[: self._newest_key]
            self._newest_key = len(self._kept)
        self._kept.append(unit)

    def _carefully(self, unit: Unit) -> Iterator[Decoded]:
        if not (self._intact or unit.key):
            return
        try:
            yield from self._pictures(self._decode(unit))
            self._intact = True
        except DamagedUnit:
            yield from self.drain()
            self.damaged += 1

    def _pictures(self, frames: list[av.VideoFrame]) -> Iterator[Decoded]:
        for frame in frames:
            if frame.pts is not None and self._wanted(frame.pts):
                picture = to_i420(frame)
                yield Decoded(picture, picture.shape[1], picture.shape[0] * 2 // 3, frame.pts)

    def _decode(self, unit: Unit | None) -> list[av.VideoFrame]:
        packet = None
        if unit:
            # A packet that lends Python's bytes needs the interpreter's lock when a decoding thread lets go of it, and
            # whoever frees the decoder meanwhile waits for that thread and holds the lock.
            packet = av.Packet(len(unit.data))
            packet.update(unit.data)
            packet.pts, packet.time_base = unit.label, _NANOSECOND
            # What nothing refers to need not be decoded for the pictures behind it.
            self._context.skip_frame = "DEFAULT" if self._wanted(unit.label) else "NONREF"
        try:
            frames = self._context.decode(packet)
        except (av.error.FFmpegError, ValueError) as error:
            raise DamagedUnit(f"the decoder refused it: {error}") from None
        if any(frame.is_corrupt for frame in frames):
            raise DamagedUnit("the picture has faults")
        return frames

    def _open(self, threads: int | None = None) -> av.VideoCodecContext:
        context = av.CodecContext.create(self._codec, "r")
        assert isinstance(context, av.VideoCodecContext)
        context.thread_count = threads or self._threads
        context.thread_type = "FRAME" if context.thread_count > 1 else "SLICE"
        context.open()
        return context
