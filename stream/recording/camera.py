"""The footage of one camera: when it is kept, in which file, and what becomes of it while the disk takes nothing."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import msgspec

from stream.config import Recording, RecordingMode
from stream.messages import CameraRecording, Packet
from stream.recording.disk import RecordingsFolder, reason_of, sentence_of
from stream.recording.intake import TOO_SLOW
from stream.recording.mp4.segment import CannotRecord, Segment, format_of, new_file
from stream.recording.pre_roll import PreRoll

log = logging.getLogger(__name__)

_SECOND = 1_000_000_000
_AGAIN_NS = _SECOND  # after a fault, the disk is tried again so much later
_FLUSH_AFTER_NS = 700_000_000  # a camera that falls silent: what it sent last goes to the disk all the same
_CLOCK_SET_NS = 2 * _SECOND  # the wall clock and the time line go apart by more: somebody has set the clock
_GAP_NS = 5 * _SECOND  # nothing came for so long: another file
_SLOW_SHOWN_NS = 10 * _SECOND


@dataclass(slots=True, eq=False)
class Entry:
    """A segment and what the archive knows of it. complete: None while it is written."""

    camera: str
    segment: Segment
    reason: str
    id: int | None = None
    complete: bool | None = None


@dataclass(frozen=True, slots=True)
class _Fault:
    """Why nothing is written: a reason to count by, a sentence, and when to try again (monotonic ns)."""

    reason: str
    sentence: str
    again_ns: int


class CameraRecorder:
    """Begins and ends at key packets, since a file can begin at those only. now_ns is monotonic everywhere.

    entries: segments of which the archive is to be told. notes: what people should know, a sentence each.
    """

    def __init__(self, name: str, mode: RecordingMode, settings: Recording, folder: RecordingsFolder) -> None:
        self.name, self.mode = name, mode
        self.entries: list[Entry] = []
        self.notes: dict[str, None] = {}  # an ordered set
        self._settings, self._folder = settings, folder
        self._entry: Entry | None = None
        self._pre_roll = PreRoll(int(settings.pre_roll_s * _SECOND))
        self._on = mode == "continuous"
        self._until_ns = 0
        self._fault: _Fault | None = None
        self._following = False  # what the next packet refers to has been written
        self._slow_until_ns = 0
        idle: Literal["off", "waiting"] = "off" if mode == "off" else "waiting"
        self._past = CameraRecording(mode, idle, "", 0, 0, 0, {}, 0)  # of the segments before this one
        self._dropped: Counter[str] = Counter()

    def take(self, packet: Packet, now_ns: int) -> None:
        """One access unit, in decoding order."""
        self._dropped.update(packet.skipped)
        if TOO_SLOW in packet.skipped:
            self._slow_until_ns = now_ns + _SLOW_SHOWN_NS
            self._note(f"{self.name}: the disk was too slow, and footage was dropped")
        if packet.key and self._on and self.mode != "continuous" and now_ns > self._until_ns:
            self._on = False
            self.finish(now_ns)
        if self._on:
            self._write(packet, now_ns)
        elif self.mode != "off":
            self._pre_roll.add(packet)

    def trigger(self, now_ns: int) -> None:
        """Something is worth keeping, now: what was before it and what comes after it too."""
        if self.mode not in ("events", "motion"):
            return
        self._until_ns = now_ns + int(self._settings.post_roll_s * _SECOND)
        if not self._on:
            self._on = True
            for packet in self._pre_roll.take():
                self._write(packet, now_ns)

    def turn(self, now_ns: int) -> None:
        """What has to be done whether packets come or not."""
        pending = self._entry.segment.pending if self._entry else ()
        if pending and now_ns - pending[-1].received_ns > _FLUSH_AFTER_NS:
            self._flush(now_ns)

    def finish(self, now_ns: int) -> None:
        """End the file in order."""
        self._flush(now_ns)
        self._end(complete=True)

    def status(self, now_ns: int) -> CameraRecording:
        """How it does."""
        segment = self._entry.segment if self._entry else None
        slow = now_ns < self._slow_until_ns
        past = self._past
        return CameraRecording(
            mode=self.mode,
            state="failing" if self._fault else "recording" if segment else past.state,
            detail=self._fault.sentence if self._fault else "the disk is too slow" if slow else "",
            segments=past.segments + (segment is not None and segment.frames > 0),
            frames=past.frames + (segment.frames if segment else 0),
            bytes=past.bytes + (segment.bytes if segment else 0),
            dropped=dict(sorted(self._dropped.items())),
            newest_wall_ns=segment.ended_wall_ns if segment and segment.frames else past.newest_wall_ns,
        )

    def _write(self, packet: Packet, now_ns: int) -> None:
        if packet.key:
            self._following = self._begin(packet, now_ns)
        if self._entry is None or not self._following:
            self._dropped[self._fault.reason if self._fault else "no key picture"] += 1
            return
        try:
            self._entry.segment.add(packet)
        except OSError as error:
            self._fail(error, now_ns)
            self._dropped[reason_of(error)] += 1
        else:
            self._recover()

    def _begin(self, packet: Packet, now_ns: int) -> bool:
        """Have a file for what begins with a key packet, the open one or a new one; whether there is one."""
        try:
            form = format_of(packet)
            if self._entry and self._is_over(self._entry.segment, packet, form != self._entry.segment.form):
                self.finish(now_ns)
            if self._entry is None and not (self._fault and now_ns < self._fault.again_ns):
                self._folder.ensure()
                path = new_file(self._folder.path, self.name, packet.wall_ns)
                self._entry = Entry(self.name, Segment(path, form, packet), self.mode)
                self.entries.append(self._entry)
        except CannotRecord as error:
            self.finish(now_ns)
            self._fault = _Fault("cannot be recorded", f"{self.name} cannot be recorded: {error}", now_ns)
            self._note(self._fault.sentence)
        except OSError as error:
            self._fail(error, now_ns)
        return self._entry is not None

    def _is_over(self, segment: Segment, packet: Packet, other_format: bool) -> bool:
        passed_ns = packet.media_ns - segment.first_media_ns
        set_by_ns = packet.wall_ns - segment.first_wall_ns - passed_ns
        return (
            other_format
            or packet.connection != segment.connection
            or packet.clock != segment.clock
            or passed_ns >= self._settings.segment_s * _SECOND
            or not 0 < packet.media_ns - segment.newest_media_ns < _GAP_NS
            or abs(set_by_ns) > _CLOCK_SET_NS
        )

    def _flush(self, now_ns: int) -> None:
        if self._entry:
            try:
                self._entry.segment.flush()
            except OSError as error:
                self._fail(error, now_ns)
            else:
                self._recover()

    def _fail(self, error: OSError, now_ns: int) -> None:
        """The disk has taken nothing: all up to the next key packet is dropped, and then it is tried again."""
        reason, sentence = reason_of(error), sentence_of(error, self._folder.path)
        if self._fault is None or self._fault.reason != reason:
            log.warning("%s: not recorded: %s", self.name, sentence)
        self._fault = _Fault(reason, sentence, now_ns + _AGAIN_NS)
        self._note(f"{self.name}: footage was dropped: {sentence}")
        if self._entry:
            self._dropped[reason] += len(self._entry.segment.pending)
            self._end(complete=False)
        self._following = False

    def _recover(self) -> None:
        if self._fault and self._entry and self._entry.segment.frames:
            log.info("%s: recorded again", self.name)
            self._fault = None

    def _end(self, complete: bool) -> None:
        entry, self._entry = self._entry, None
        if entry is None:
            return
        segment = entry.segment
        segment.close()
        entry.complete = complete
        if not segment.frames:
            self.entries.remove(entry)
            return
        past = self._past
        self._past = msgspec.structs.replace(
            past,
            segments=past.segments + 1,
            frames=past.frames + segment.frames,
            bytes=past.bytes + segment.bytes,
            newest_wall_ns=segment.ended_wall_ns,
        )

    def _note(self, sentence: str) -> None:
        self.notes[sentence] = None
