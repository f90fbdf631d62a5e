"""What can go wrong with a camera, on command and while it runs."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tools.rtsp.packetize import RTP_HEADER
from tools.rtsp.sources import FileSource, Source


class Playing(Protocol):
    """The part of a mount on which faults act; called on the server's loop only."""

    def drop(self, reset: bool) -> None:
        """Close every client's connection."""
        ...

    def end(self) -> None:
        """Say goodbye to every client, and close."""
        ...

    def garbage(self, data: bytes) -> None:
        """Write bytes that mean nothing into the connections."""
        ...

    def switch(self, source: Source) -> None:
        """Go on with another source."""
        ...

    def restart_timestamps(self) -> None:
        """Let the next time stamp be 0."""
        ...


class Faults:
    """The faults of one mount. Every method may be called from any thread and acts at once.

    Shares are probabilities per RTP packet from 0 to 1. The same seed gives the same faults for the same
    packets.
    """

    def __init__(self, playing: Playing, call: Callable[[Callable[[], None]], None], seed: int = 1) -> None:
        self._playing, self._call = playing, call
        self._random = random.Random(seed)
        self.heal()

    def heal(self) -> None:
        """End every lasting fault."""
        self.stalled = self.silent = False
        self.loss = self.corruption = self.truncation = self.reordering = self.duplication = 0.0
        self.latency = self.jitter = 0.0
        self.statuses: dict[str, int] = {}

    # Lasting faults

    def stall(self) -> None:
        """Send no more RTP and RTCP, but answer requests. After resume(), what was not sent is missing."""
        self.stalled = True

    def resume(self) -> None:
        """Send again."""
        self.stalled = False

    def silence(self, on: bool = True) -> None:
        """Read requests for this mount and never answer them."""
        self.silent = on

    def lose(self, share: float) -> None:
        """Lose RTP packets; their sequence numbers are missing, over TCP too."""
        self.loss = share

    def corrupt(self, share: float) -> None:
        """Change three bytes of an RTP payload."""
        self.corruption = share

    def truncate(self, share: float) -> None:
        """Cut the second half off an RTP payload, so that a NAL unit lacks bytes but no packet."""
        self.truncation = share

    def reorder(self, share: float) -> None:
        """Swap an RTP packet with the one before it."""
        self.reordering = share

    def duplicate(self, share: float) -> None:
        """Send an RTP packet twice."""
        self.duplication = share

    def delay(self, seconds: float, jitter: float = 0.0) -> None:
        """Send everything later by `seconds` plus up to `jitter` more; the order stays."""
        self.latency, self.jitter = seconds, jitter

    def answer(self, status: int, method: str = "*") -> None:
        """Answer this method's requests ("*": all) for the mount with a status such as 404, 454 or 503."""
        self.statuses = {**self.statuses, method: status}

    # Faults of a moment

    def drop(self, reset: bool = False) -> None:
        """Close the connections of this mount's clients without a word; reset: with a TCP RST."""
        self._call(lambda: self._playing.drop(reset))

    def end(self) -> None:
        """End the stream properly: RTCP BYE, then close."""
        self._call(self._playing.end)

    def garbage(self, size: int = 64) -> None:
        """Write random bytes between two messages of interleaved connections."""
        self._call(lambda: self._playing.garbage(self._random.randbytes(size)))

    def switch(self, path: str | Path) -> None:
        """Go on with another clip; raises as FileSource.

        Of the same codec: in the same session, with parameter sets in the stream. Of another: the stream ends,
        and the next DESCRIBE tells of the new one.
        """
        source = FileSource(path)  # read here, so that the loop does not wait for it
        self._call(lambda: self._playing.switch(source))

    def restart_timestamps(self) -> None:
        """Let RTP time stamps start again at 0, as when a camera restarts its encoder."""
        self._call(self._playing.restart_timestamps)

    # What the server asks

    def status(self, method: str) -> int | None:
        """The error status with which to answer, if any."""
        return self.statuses.get(method, self.statuses.get("*"))

    def lag(self) -> float:
        """Seconds by which to send later, drawn anew for each access unit."""
        return self.latency + (self._random.uniform(0, self.jitter) if self.jitter else 0.0)

    def mangle(self, packets: list[bytes]) -> list[bytes]:
        """The RTP packets of one access unit as the faults leave them."""
        if not (self.loss or self.corruption or self.truncation or self.reordering or self.duplication):
            return packets
        out: list[bytes] = []
        for packet in packets:
            if self._happens(self.loss):
                continue
            if self._happens(self.truncation):
                packet = packet[: RTP_HEADER + max(3, (len(packet) - RTP_HEADER) // 2)]
            if self._happens(self.corruption):
                packet = self._corrupted(packet)
            out.append(packet)
            if len(out) > 1 and self._happens(self.reordering):
                out[-2:] = out[:-3:-1]
            if self._happens(self.duplication):
                out.append(packet)
        return out

    def _happens(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def _corrupted(self, packet: bytes) -> bytes:
        changed = bytearray(packet)
        for _ in range(3):
            changed[self._random.randrange(RTP_HEADER, len(changed))] ^= self._random.randint(1, 255)
        return bytes(changed)
