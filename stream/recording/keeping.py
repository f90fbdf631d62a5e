"""The archive as the recorder writes it: a second's worth at a time, opened again whenever it can be."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable

import stream
from stream.archive.annotations import AnnotatedFrame
from stream.archive.archive import Archive, ArchiveDamaged, ArchiveError
from stream.archive.database import FILE
from stream.config import Settings
from stream.events.engine import EventEngine
from stream.messages import FaceCard, FaceLook, FrameResult, InferenceStatus, annotation_hash
from stream.recording.camera import CameraRecorder, Entry
from stream.recording.disk import RecordingsFolder
from stream.recording.tracks import Tracks

log = logging.getLogger(__name__)

_AGAIN_NS = 2_000_000_000
_MOST_FRAMES = 15_000  # of a camera that wait for a disk: ten minutes at 25 a second
_RETIRE_EVERY_NS = 60_000_000_000

Trigger = Callable[[str, int, str], None]


class Keeping:
    """What was seen, on its way into the archive; and the rules, which live in it. For one thread.

    A disk that takes nothing is tried again every two seconds; what was seen meanwhile waits, for ten minutes at most.
    """

    def __init__(self, settings: Settings, folder: RecordingsFolder, trigger: Trigger) -> None:
        """trigger: as for EventEngine."""
        self._settings, self._folder, self._trigger = settings, folder, trigger
        self._archive: Archive | None = None
        self._engine: EventEngine | None = None
        self._run = 0
        self._file = (0, 0)
        self._tracks = Tracks()
        self._frames: dict[str, list[AnnotatedFrame]] = {}
        self._status: InferenceStatus | None = None
        self._engines_kept = False
        self._again_ns = 0
        self._retired_ns = time.monotonic_ns()
        self._lost = 0
        self.trouble = ""  # why nothing is kept now
        self._notes: dict[str, None] = {}
        self.follow(settings)

    def follow(self, settings: Settings) -> None:
        """Keep what is seen by the cameras of these settings from now on."""
        self._settings = settings
        kept = [camera.name for camera in settings.cameras if settings.recording_mode(camera.name) != "off"]
        self._with_frames = frozenset(kept)
        everyone = [camera.name for camera in settings.cameras]
        self._with_sightings = frozenset(everyone if settings.events.rules else kept)

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know, a sentence each."""
        lost = [f"annotations of {self._lost} frames could not be kept"] if self._lost else []
        return (*self._notes, *lost, *(self._engine.notes if self._engine else ()))

    def see(self, message: FrameResult | FaceLook | FaceCard | InferenceStatus) -> None:
        """Take in what inference says."""
        match message:
            case FrameResult(frame=frame) if frame.camera in self._with_sightings:
                self._tracks.see(message)
                if frame.camera in self._with_frames:
                    self._keep_frame(message)
                if self._engine:
                    self._engine.see(message)
            case FaceLook(camera=camera) if camera in self._with_sightings:
                self._tracks.look(message)
                if self._engine:
                    self._engine.look(message)
            case FaceCard(camera=camera) if camera in self._with_sightings:
                self._tracks.card(message)
            case InferenceStatus():
                changed = self._status is None or self._status.engines != message.engines
                self._status, self._engines_kept = message, self._engines_kept and not changed
                self._tracks.status(message)
                if self._engine:
                    self._engine.inference(message)

    def keep(self, cameras: Iterable[CameraRecorder], now_ns: int) -> None:
        """Put on the disk what has come since; now_ns: monotonic. Call it once a second."""
        if now_ns < self._again_ns:
            return
        try:
            archive = self._open(cameras)
            self._put(archive, cameras)
            self._kept(cameras)
            if now_ns - self._retired_ns >= _RETIRE_EVERY_NS:
                self._retired_ns = now_ns
                for note in archive.retire(time.time_ns(), self._settings.recording).notes:
                    self._notes[note] = None
            self.trouble = ""
        except ArchiveError as error:
            self._fail(error, now_ns)
        except OSError as error:
            self._fail(ArchiveError(f"{self._folder.path}: {error.strerror}"), now_ns)
        if self._engine:
            self._engine.turn(time.time_ns())

    def close(self, cameras: Iterable[CameraRecorder]) -> None:
        """Keep all there is, and end the run in order."""
        self._again_ns = 0
        self.keep(cameras, time.monotonic_ns())
        if self._engine:
            self._engine.close()
        if self._archive:
            try:
                self._archive.end_run(self._run, time.time_ns())
            except ArchiveError as error:
                log.warning("%s", error)
            self._archive.close()

    def _keep_frame(self, result: FrameResult) -> None:
        frame, waiting = result.frame, self._frames.setdefault(result.frame.camera, [])
        if len(waiting) >= _MOST_FRAMES:
            self._lost += 1
            return
        waiting.append(
            AnnotatedFrame(
                sequence=frame.sequence,
                media_ns=frame.media_ns,
                wall_ns=frame.wall_ns,
                width=frame.width,
                height=frame.height,
                epoch=result.epoch,
                step=result.step,
                gallery=result.gallery,
                faces=result.faces,
                hash=annotation_hash(result.faces),
            )
        )

    def _open(self, cameras: Iterable[CameraRecorder]) -> Archive:
        """The archive, as long as its file is in its place."""
        if self._archive and _identity(self._archive) == self._file:
            return self._archive
        self._shut()
        self._folder.ensure()
        archive = Archive.open(self._folder.path, write=True, actor="recorder")
        self._notes |= dict.fromkeys(archive.notes)
        try:
            self._run = archive.begin_run(
                time.time_ns(), stream.__version__, self._settings.model_dump(mode="json"), {}
            )
            if self._settings.events.rules:
                self._engine = EventEngine(self._settings, archive, self._run, self._trigger)
        except BaseException:
            archive.close()
            raise
        if self._engine and self._status:
            self._engine.inference(self._status)
        self._archive, self._file, self._engines_kept = archive, _identity(archive), False
        self._tracks.all_anew()
        for camera in cameras:
            gone = [e for e in camera.entries if e.segment.frames and not e.segment.path.exists()]
            camera.entries[:] = [entry for entry in camera.entries if entry not in gone]
            for entry in camera.entries:
                entry.id = None
        return archive

    def _put(self, archive: Archive, cameras: Iterable[CameraRecorder]) -> None:
        new = [entry for camera in cameras for entry in camera.entries if entry.id is None]
        try:
            with archive.transaction():
                if self._status and not self._engines_kept:
                    archive.update_engines(self._run, dict(self._status.engines))
                for camera in cameras:
                    for entry in camera.entries:
                        _put_segment(archive, self._run, self._folder, entry)
                for name, frames in self._frames.items():
                    archive.add_frames(self._run, name, frames)
                for sighting in self._tracks.changed(self._run):
                    archive.put_sighting(sighting)
        except BaseException:
            for entry in new:
                entry.id = None  # the number went with the transaction
            raise

    def _kept(self, cameras: Iterable[CameraRecorder]) -> None:
        """The transaction is on the disk."""
        self._engines_kept = self._status is not None
        self._frames.clear()
        self._tracks.kept()
        for camera in cameras:
            for entry in camera.entries:
                entry.segment.clock_pairs.clear()
            camera.entries[:] = [entry for entry in camera.entries if entry.complete is None]

    def _fail(self, error: ArchiveError, now_ns: int) -> None:
        if not self.trouble:
            log.warning("what is seen is not kept: %s", error)
        self.trouble = str(error)
        self._notes[f"What was seen could not be kept for a while: {error}"] = None
        self._again_ns = now_ns + _AGAIN_NS
        if isinstance(error, ArchiveDamaged):
            self._shut()

    def _shut(self) -> None:
        if self._engine:
            self._engine.close()
        if self._archive:
            self._archive.close()
        self._engine = self._archive = None


def _put_segment(archive: Archive, run: int, folder: RecordingsFolder, entry: Entry) -> None:
    segment = entry.segment
    if not segment.frames:
        return
    if entry.id is None:
        entry.id = archive.begin_segment(
            camera=entry.camera,
            run=run,
            connection=segment.connection,
            path=str(segment.path.relative_to(folder.path)),
            codec=segment.form.codec,
            width=segment.form.width,
            height=segment.form.height,
            began_ns=segment.began_wall_ns,
            began_media_ns=segment.began_media_ns,
            reason=entry.reason,
            clock=segment.clock,
        )
    if segment.clock_pairs:
        archive.grow_segment(
            entry.id,
            segment.ended_wall_ns,
            segment.ended_media_ns,
            segment.bytes,
            segment.frames,
            segment.clock_pairs,
        )
    if entry.complete is not None:
        archive.finish_segment(entry.id, entry.complete)


def _identity(archive: Archive) -> tuple[int, int]:
    """Which file lies where the archive's should; (0, 0) when there is none."""
    try:
        found = os.stat(archive.folder / FILE)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino
