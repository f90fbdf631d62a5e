"""When to try again."""

from __future__ import annotations

from stream.capture.source import NoSuchStream, SourceError, SourceRefused

# A camera that returns is shown again within two seconds, so a lost one is asked for every second, always.
_LOST_S = (0.2, 0.5, 1.0)
_STARTING_S = (
    2.0  # a host that answers but has no stream yet: many cameras and servers say so while they start
)
_REFUSED_S = 10.0  # a wrong password tried often locks users out


class Patience:
    """The pauses between attempts."""

    def __init__(self) -> None:
        self._failures = 0

    def pause_s(self, error: SourceError) -> float:
        """How long to wait after this failure."""
        if isinstance(error, NoSuchStream):
            return _STARTING_S
        if isinstance(error, SourceRefused):
            return _REFUSED_S
        self._failures += 1
        return _LOST_S[min(self._failures, len(_LOST_S)) - 1]

    def reward(self) -> None:
        """A picture came: the next failure is the first one again."""
        self._failures = 0
