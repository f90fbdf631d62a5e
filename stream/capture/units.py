"""Access units of the sources that FFmpeg opens for us, each at the time of the picture that is made of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import av
from av.bitstream import BitStreamFilterContext

from stream.capture.source import Facts, Sink, Unit

_MOST_WAITING = 64  # more than any decoder holds back
_TO_BYTE_STREAM = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
_AS_THEY_ARE = ("mjpeg", "mpeg4")
CANNOT_RECORD = (
    "not recorded: only H.264, H.265, MPEG-4 and Motion JPEG can be, and this source sends something else"
)
_START_CODES = (b"\0\0\1", b"\0\0\0\1")


@dataclass(slots=True)
class _Waiting:
    pts: int
    data: bytes
    key: bool
    received_ns: int
    shown: tuple[int, int] | None = None  # media and wall time of its picture
    wanted: bool = True


class Units:
    """Holds each packet until its picture is there, since only the picture's clock says where on the time line it is.

    Packets are handed on in decoding order; one that became no picture keeps its distance to the one before it.
    """

    def __init__(self, stream: av.VideoStream, sink: Sink, facts: Facts) -> None:
        """facts: its note says when this stream cannot be recorded."""
        self._sink = sink
        self._codec = stream.codec_context.name
        self._tick_ns = float((stream.time_base or 0) * 1_000_000_000)
        self._filter: BitStreamFilterContext | None = None
        self._parameter_sets = b""
        if self._codec in _TO_BYTE_STREAM:
            extradata = stream.codec_context.extradata or b""
            self._parameter_sets = extradata if extradata.startswith(_START_CODES) else b""
            self._filter = BitStreamFilterContext(_TO_BYTE_STREAM[self._codec], stream)
        elif self._codec in _AS_THEY_ARE:
            self._parameter_sets = stream.codec_context.extradata or b""
        else:
            self._codec, facts.note = "", CANNOT_RECORD
        self._waiting: deque[_Waiting] = deque()
        self._last: tuple[int, int, int] | None = (
            None  # pts, media and wall time of the newest that was shown
        )

    def read(self, packet: av.Packet[av.VideoStream], received_ns: int) -> None:
        """A packet on its way to the decoder."""
        if not packet.size:
            return
        if packet.pts is None or not self._codec:
            self._sink.lose("cannot be recorded")
            return
        if packet.is_corrupt:
            self._sink.lose("damaged")
            return
        data = bytes(packet)
        if self._filter:
            # A copy: the filter takes away what it is given, and the decoder comes next.
            data = b"".join(bytes(part) for part in self._filter.filter(av.Packet(data)))
        self._waiting.append(_Waiting(packet.pts, data, packet.is_keyframe, received_ns))
        if len(self._waiting) > _MOST_WAITING:
            self._pass_over()

    def shown(self, pts: int | None, media_ns: int, wall_ns: int, wanted: bool = True) -> None:
        """A picture came out, of the packet with this time stamp. wanted: whether it shall be recorded."""
        own = next((each for each in self._waiting if each.pts == pts and not each.shown), None)
        if own is not None:
            self._last = own.pts, media_ns, wall_ns
            own.shown, own.wanted = (media_ns, wall_ns), wanted
            for earlier in self._waiting:
                if earlier is own:
                    break
                if (
                    not earlier.shown and earlier.pts < own.pts
                ):  # pictures come in order: this one was passed over
                    earlier.shown, earlier.wanted = self._beside(earlier.pts, self._last), wanted
        while self._waiting and self._waiting[0].shown:
            self._hand_on(self._waiting.popleft())

    def _pass_over(self) -> None:
        """The oldest packet became no picture."""
        oldest = self._waiting.popleft()
        if self._last is None:
            self._sink.lose("damaged")
            return
        oldest.shown = self._beside(oldest.pts, self._last)
        self._hand_on(oldest)

    def _beside(self, pts: int, known: tuple[int, int, int]) -> tuple[int, int]:
        """Media and wall time of a packet that became no picture, from those of one that did."""
        since_ns = round((pts - known[0]) * self._tick_ns)
        return known[1] + since_ns, known[2] + since_ns

    def _hand_on(self, waiting: _Waiting) -> None:
        if not waiting.wanted or waiting.shown is None:
            return
        media_ns, wall_ns = waiting.shown
        sets = self._parameter_sets if waiting.key else b""
        self._sink.take(
            Unit(self._codec, sets, waiting.data, waiting.key, media_ns, wall_ns, "here", waiting.received_ns)
        )
