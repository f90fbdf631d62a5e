"""Access units into pictures, on a graphics card where there is one, without holding a picture back."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.codec.context import Flags
from av.codec.hwaccel import HWAccel, hwdevices_available
from numpy.typing import NDArray

from stream.capture.pixels import to_i420

log = logging.getLogger(__name__)

SOFTWARE = "software"
_DEVICES = (
    "cuda",
    "vaapi",
    "qsv",
    "videotoolbox",
    "d3d11va",
)  # those that give pictures back to the processor
_NANOSECOND = Fraction(1, 1_000_000_000)

av.logging.set_level(None)  # FFmpeg's own lines may hold addresses with passwords

_useless: set[str] = set()  # devices that were tried in this process, in vain


class DamagedUnit(Exception):
    """The decoder could not make a faultless picture of an access unit."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture, uint8 [H * 3 / 2, W], and the label of the access unit from which it was made."""

    i420: NDArray[np.uint8]
    width: int
    height: int
    label: int


class Decoder:
    """A decoder for one stream.

    codec: FFmpeg's name. choice: "auto" tries the hardware and falls back, "software" does not try. `name` says
    which it became ("software", "cuda", ...).
    """

    def __init__(self, codec: str, choice: str = "auto") -> None:
        self._codec = codec
        self.name = SOFTWARE
        self._context = (self._hardware() if choice == "auto" else None) or _open(codec, None)
        self._proven = False

    def decode(self, data: bytes, label: int) -> list[Decoded]:
        """The pictures that can be shown after this access unit (with start codes): one, for most cameras.

        label: comes back with the picture; pictures may come in another order than their units. Raises DamagedUnit.
        """
        packet = av.Packet(data)
        packet.pts, packet.time_base = label, _NANOSECOND
        try:
            frames = self._context.decode(packet)
            if any(frame.is_corrupt for frame in frames):
                raise DamagedUnit("the picture has faults")
            pictures = [_decoded(frame, label) for frame in frames]
        except (av.error.FFmpegError, ValueError) as error:
            if self.name == SOFTWARE or self._proven:
                raise DamagedUnit(f"the decoder refused it: {error}") from None
            self._fall_back()
            return self.decode(data, label)
        if frames and not self._proven:
            self._proven = True
            if self.name != SOFTWARE and frames[0].format.name not in ("nv12", "p010le"):
                self.name = SOFTWARE  # the device does not decode this kind of stream, and FFmpeg stepped in
        return pictures

    def flush(self) -> None:
        """Forget all pictures seen, before going on behind a gap. Parameter sets stay known."""
        self._context.flush_buffers()

    def _hardware(self) -> av.VideoCodecContext | None:
        for device in _DEVICES:
            if device not in hwdevices_available() or device in _useless:
                continue
            try:
                context = _open(self._codec, HWAccel(device, allow_software_fallback=True))
                if context.is_hwaccel:
                    self.name = device
                    return context
            except (OSError, av.error.FFmpegError, NotImplementedError, RuntimeError, ValueError):
                pass  # PermissionError where there is no such device
            _useless.add(device)
        return None

    def _fall_back(self) -> None:
        log.warning("decoding %s with %s failed: going on in software", self._codec, self.name)
        _useless.add(self.name)
        self.name = SOFTWARE
        self._context = _open(self._codec, None)


def _decoded(frame: av.VideoFrame, label: int) -> Decoded:
    picture = to_i420(frame)
    return Decoded(
        i420=picture,
        width=picture.shape[1],
        height=picture.shape[0] * 2 // 3,
        label=label if frame.pts is None else frame.pts,
    )


def _open(codec: str, device: HWAccel | None) -> av.VideoCodecContext:
    context = av.CodecContext.create(codec, "r", hwaccel=device)
    assert isinstance(context, av.VideoCodecContext)
    context.thread_type = "SLICE"  # threads for whole frames would hold back a frame each
    context.thread_count = 1
    context.flags |= Flags.low_delay
    context.open()
    return context
