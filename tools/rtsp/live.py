"""A camera with an encoder: pictures painted and encoded while they are sent, each with its time burnt in."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from fractions import Fraction

import av
import numpy as np
from av.video.frame import PictureType
from numpy.typing import NDArray

from tools import stamp
from tools.rtsp.media import CLOCK, AccessUnit, Codec, Track, split_annexb
from tools.rtsp.sources import VIDEO_PAYLOAD_TYPE, parameter_sets, payloads, sleep_until

Painter = Callable[[int, int], NDArray[np.uint8]]
"""(number of the picture, its time in monotonic ns) -> uint8, [H * 3 // 2, W] I420 or [H, W, 3] RGB."""


class LiveSource:
    """What `paint` returns, encoded without delay (no B-pictures, no look-ahead) in a thread of its own.

    lead: 0 means that a picture gets the time at which it is painted, and leaves when it is encoded: what a
    camera does. More than 0 means that a picture is painted and encoded `lead` seconds before the time it is
    given and leaves at that time: what remains is the way from the encoder's output, whatever the encoder
    costs. A lead must be longer than the painter and encoder take. A picture that is late is sent at once;
    pictures are left out where encoding does not keep up. bitrate in bits/s. Raises ValueError for a codec
    other than h264 and h265.
    """

    def __init__(
        self,
        paint: Painter,
        size: tuple[int, int],
        fps: float = 25,
        codec: str = "h264",
        bitrate: int = 2_000_000,
        lead: float = 0.0,
        key_period: float = 1.0,
    ) -> None:
        if codec not in ("h264", "h265"):
            raise ValueError(f"codec must be h264 or h265, found {codec!r}")
        self._paint, self._size, self._rate, self._bitrate = (
            paint,
            size,
            Fraction(fps).limit_denominator(1001),
            bitrate,
        )
        self._codec, self._lead = Codec(codec.upper()), lead
        self._key_period = max(1, round(key_period * fps))
        self._key_wanted = threading.Event()
        self._parameters = parameter_sets(self._codec, split_annexb(self._encoder().extradata or b""))
        self.tracks = (Track(self._codec, VIDEO_PAYLOAD_TYPE, CLOCK, self._parameters),)

    def request_key(self) -> None:
        """The next picture is a key picture."""
        self._key_wanted.set()

    async def units(self) -> AsyncGenerator[AccessUnit, None]:
        """Pictures from now on."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[AccessUnit | Exception] = asyncio.Queue()
        stop = threading.Event()

        def put(unit: AccessUnit | Exception) -> None:
            if not stop.is_set():
                loop.call_soon_threadsafe(queue.put_nowait, unit)

        thread = threading.Thread(target=self._encode, args=(put, stop), name="rtsp-encoder", daemon=True)
        thread.start()
        try:
            while True:
                unit = await queue.get()
                if isinstance(unit, Exception):
                    raise unit
                await sleep_until(unit.due)
                yield unit
        finally:
            stop.set()
            await asyncio.to_thread(thread.join)

    def _encode(self, put: Callable[[AccessUnit | Exception], None], stop: threading.Event) -> None:
        try:
            encoder = self._encoder()
            start, number = time.monotonic() + self._lead, 0
            since_key = self._key_period
            while not stop.wait(max(0.0, start + number / self._rate - self._lead - time.monotonic())):
                moment = time.monotonic_ns() if self._lead == 0 else int((start + number / self._rate) * 1e9)
                picture = self._paint(number, moment)
                frame = av.VideoFrame.from_ndarray(
                    picture, format="yuv420p" if picture.ndim == 2 else "rgb24"
                )
                frame.pts, frame.time_base = number, 1 / self._rate
                if since_key >= self._key_period or self._key_wanted.is_set():
                    self._key_wanted.clear()
                    frame.pict_type = PictureType.I
                    since_key = 0
                since_key += 1
                ticks = moment * 9 // 100_000
                for packet in encoder.encode(frame):
                    nals = split_annexb(bytes(packet))
                    body = payloads(self._codec, nals, packet.is_keyframe, self._parameters, True)
                    put(AccessUnit(0, ticks, ticks, packet.is_keyframe, body))
                late = time.monotonic() + self._lead - start
                number = max(number + 1, int(late * self._rate))
        except Exception as error:  # told to the loop, where it ends the stream
            put(error)

    def _encoder(self) -> av.VideoCodecContext:
        name = "libx264" if self._codec is Codec.H264 else "libx265"
        encoder = av.CodecContext.create(name, "w")
        assert isinstance(encoder, av.VideoCodecContext)
        encoder.width, encoder.height = self._size
        encoder.pix_fmt, encoder.framerate, encoder.time_base = "yuv420p", self._rate, 1 / self._rate
        encoder.bit_rate, encoder.gop_size, encoder.thread_count = self._bitrate, 10**6, 1
        encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1"}
        encoder.options |= {"maxrate": str(self._bitrate), "bufsize": str(self._bitrate // 2)}
        if self._codec is Codec.H265:  # blocks of one size: key pictures cost 27 ms instead of 65 at 720p
            blocks = "ctu=32:min-cu-size=32:rd=1"
            encoder.options |= {"x265-params": f"log-level=error:pools=none:frame-threads=1:{blocks}"}
        encoder.flags |= av.codec.context.Flags.global_header
        encoder.open()
        return encoder


class StampScene:
    """The painter of a stamped picture: a still ground, a bar that wanders, and the time in the upper left
    corner.

    size: (width, height), both even.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._width, self._height = size
        down, across = np.mgrid[: self._height, : self._width]
        luma = 70 + 50 * np.sin(across / 37) * np.cos(down / 23) + 60 * down / self._height
        chroma = np.full((self._height // 2, self._width), 128)
        chroma[:, : self._width // 2] += down[::2, : self._width // 2] * 40 // self._height
        self._ground = np.vstack((luma, chroma)).astype(np.uint8)

    def __call__(self, number: int, ns: int) -> NDArray[np.uint8]:
        """The picture of this number and time, uint8 [H * 3 // 2, W] I420."""
        picture = self._ground.copy()
        left = number * 4 % (self._width - 16)
        picture[self._height // 2 : self._height, left : left + 16] = 200
        stamp.write(picture[: self._height], ns)
        return picture
