"""What every kind of source has in common: the pictures it gives, what is known of it, and how it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from stream.messages import CameraState

Alive = Callable[[], bool]
"""Called wherever a source waits, at least every TICK_S seconds: False when it shall end."""

TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture.

    i420: uint8 [height * 3 / 2, width], limited range, both sides even. media_ns: the source's own time line, which
    begins at 0 and always grows. wall_ns: UTC, by the camera's clock where it tells it. received_ns: monotonic time
    at which the picture's last packet had arrived.
    """

    i420: NDArray[np.uint8]
    width: int
    height: int
    media_ns: int
    wall_ns: int
    received_ns: int


@dataclass(frozen=True, slots=True)
class Unit:
    """One access unit as the camera sent it.

    codec, parameter_sets, data: as in stream.messages.Packet; parameter_sets with key units at least. media_ns: on the
    source's own time line, that of the picture which is made of it. wall_ns: UTC, by the clock that is named.
    """

    codec: str
    parameter_sets: bytes
    data: bytes
    key: bool
    media_ns: int
    wall_ns: int
    clock: Literal["camera", "here"]
    received_ns: int


class Sink(Protocol):
    """Takes the access units of a source beside its pictures; it never waits."""

    def take(self, unit: Unit) -> None:
        """One access unit, in decoding order."""
        ...

    def lose(self, reason: str) -> None:
        """An access unit that did not come whole, or cannot be recorded."""
        ...

    def break_off(self, reason: str) -> None:
        """The next access unit does not go with those before, and is of no use unless decoding can begin with it."""
        ...


@dataclass(slots=True)
class Facts:
    """What a source says of itself; it changes while the source is read.

    corrupt: access units dropped because they were damaged or depended on damaged ones. late: access units dropped
    because decoding could not keep up. note: a sentence for people, empty while all is well.
    """

    reader: str
    codec: str = ""
    decoder: str = ""
    corrupt: int = 0
    late: int = 0
    note: str = ""


class Source(Protocol):
    """An open source."""

    facts: Facts

    def pictures(self) -> Iterator[Picture]:
        """The pictures, until the source ends or `alive` says so. Raises SourceError."""
        ...

    def close(self) -> None:
        """Let go of everything; may be called at any time, and twice."""
        ...


class Stopped(Exception):
    """`alive` said that it is time to end."""


class SourceError(Exception):
    """Why there is no picture: a sentence for people, without passwords."""

    state = CameraState.LOST


class SourceLost(SourceError):
    """Likely to mend itself: tried again soon."""


class SourceRefused(SourceError):
    """A person must mend it (password, path, format): tried again slowly."""

    state = CameraState.REFUSED


class NoSuchStream(SourceRefused):
    """The host is there and the path is not. A camera that is starting says this too."""


class BeyondReader(SourceRefused):
    """This reader cannot read the stream; another might."""
