"""What all recorders of a run have recorded together: one that is started again counts from the beginning."""

from __future__ import annotations

from collections import Counter

import msgspec

from stream.messages import CameraRecording, RecorderStatus


class Recordings:
    """The newest status of the recorder, with what those before it had done."""

    def __init__(self) -> None:
        self._before: dict[str, CameraRecording] = {}
        self._now: dict[str, CameraRecording] = {}
        self._notes: dict[str, None] = {}  # an ordered set

    @property
    def notes(self) -> list[str]:
        """What people should know of the recording, a sentence each."""
        return list(self._notes)

    def see(self, status: RecorderStatus) -> None:
        """Take in how recording does."""
        self._now = dict(status.cameras)
        self._notes |= dict.fromkeys(status.notes)

    def started_again(self) -> None:
        """The next status will be of another process."""
        self._before = {name: found for name in self._now if (found := self.camera(name))}
        self._now = {}

    def camera(self, name: str) -> CameraRecording | None:
        """How the recording of a camera does; None before a recorder has said so."""
        now, before = self._now.get(name), self._before.get(name)
        if now is None or before is None:
            return now or before
        return msgspec.structs.replace(
            now,
            segments=before.segments + now.segments,
            frames=before.frames + now.frames,
            bytes=before.bytes + now.bytes,
            dropped=dict(Counter(before.dropped) + Counter(now.dropped)),
            newest_wall_ns=now.newest_wall_ns or before.newest_wall_ns,
        )
