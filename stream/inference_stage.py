"""The inference process: takes the newest frame of every camera, has it annotated, and sends on what was seen."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2

import stream
from engines.backends import Building, EngineError
from engines.models import ModelError
from engines.recognition.calibration import CalibrationError
from engines.recognition.gallery import GalleryError
from engines.recognition.matcher import Matcher
from engines.signing import SigningError, SigningKey
from engines.unmasking.claim import Signer
from stream.attributes import log_purpose, without_estimates
from stream.bus import ARCHIVE, FRAMES, RESULTS, Inbox, Outbox
from stream.changes import Changes
from stream.config import Settings
from stream.embedders import open_evidence
from stream.fault import Fault
from stream.gallery_watch import GalleryWatch
from stream.inference import Inference
from stream.messages import AnyMessage, FrameReady, InferenceStatus
from stream.networks import Networks, load_networks
from stream.ring import Place, RingReader
from stream.watching import Picture

log = logging.getLogger(__name__)

_POLL_MS = 50
_STATUS_EVERY_S = 1.0
_NOT_ARCHIVED = "the recorder did not take all that was seen: annotations of some frames are not kept"


class Waiting:
    """Frames that have been announced and not been looked at.

    Live, only the newest of each camera is kept: `take` gives one of each, and what was passed over is counted.
    In replay every frame is kept, and `take` gives them one at a time, in the order they came.
    """

    def __init__(self, live: bool) -> None:
        self._live = live
        self._newest: dict[str, FrameReady] = {}
        self._queue: deque[FrameReady] = deque()
        self._skipped: dict[str, Counter[str]] = {}

    def add(self, messages: Iterable[AnyMessage]) -> None:
        """Take in announcements; other messages are not for this stage."""
        for message in messages:
            if not isinstance(message, FrameReady):
                continue
            if not self._live:
                self._queue.append(message)
                continue
            if message.camera in self._newest:
                self.skip(message.camera, "superseded")
            self._newest[message.camera] = message

    def take(self) -> list[FrameReady]:
        """The frames to look at now."""
        if not self._live:
            return [self._queue.popleft()] if self._queue else []
        frames = [self._newest[camera] for camera in sorted(self._newest)]
        self._newest.clear()
        return frames

    def skip(self, camera: str, reason: str) -> None:
        """Count a frame that will not be annotated."""
        self._skipped.setdefault(camera, Counter())[reason] += 1

    def skipped(self, camera: str) -> dict[str, int]:
        """What was passed over of a camera since this was last asked."""
        return dict(self._skipped.pop(camera, {}))

    def __bool__(self) -> bool:
        return bool(self._newest or self._queue)


def run(
    settings: Settings,
    directory: Path,
    delivery: str,
    stop: threading.Event,
    beat: Callable[[], None],
    changes: Changes,
) -> None:
    """Annotate frames until `stop` is set. Raises Fault when networks, calibration or gallery cannot be used.

    changes: settings with other cameras; frames come from whichever camera sends some, so all that is done is to forget
    those that have gone, and to tell the recorder from when on there is one.
    """
    cv2.setNumThreads(1)
    inbox, outbox = Inbox(directory, FRAMES), Outbox(directory, RESULTS)
    archive = Outbox(directory, ARCHIVE) if settings.recording_active else None
    rings = RingReader(directory)
    try:
        # The same recording must give the same annotations, so a replay does not begin on another engine.
        building = Building.BEHIND if delivery == "newest" else Building.NOW
        networks = load_networks(settings, lambda name, share: beat(), building)
        purpose = log_purpose(settings)
        generator = networks.engines["unmask"].model_sha256 if networks.unmasker else ""
        evidence = networks.evidence
        gallery = GalleryWatch(
            settings.recognition,
            evidence.space,
            evidence.views_space,
            generator,
            lambda: open_evidence(settings),
        )
    except (CalibrationError, EngineError, GalleryError, ModelError) as error:
        raise Fault(str(error)) from error
    signer, unsigned = open_signer(settings, generator)
    inference = Inference(settings, networks, gallery.matcher, epoch=time.time_ns(), signer=signer)
    waiting = Waiting(live=delivery == "newest")
    reporter = _Reporter(outbox, archive, networks, (*unsigned, *purpose))
    log.info("inference: ready, %d people enrolled", gallery.people)
    try:
        while not stop.is_set():
            beat()
            waiting.add(inbox.drain(0 if waiting else _POLL_MS))
            began = time.monotonic()
            if pictures := _pictures(waiting, rings):
                results, cards, looks = inference.step(pictures)
                said: list[AnyMessage] = [*cards, *results]
                for message in said:
                    outbox.send(message)
                if archive:
                    # Results first: they say which tracks the pictures belong to.
                    keep = results if settings.attributes.store else map(without_estimates, results)
                    for_archive: list[AnyMessage] = [*keep, *cards, *looks]
                    reporter.not_archived += sum(not archive.send(message) for message in for_archive)
                reporter.worked(time.monotonic() - began)
            if changed := changes.take():
                settings = changed
                inference.follow(settings)
                if settings.recording_active and archive is None:
                    archive = reporter.archive = Outbox(directory, ARCHIVE)
            if reporter.due():
                rings.keep({camera.name for camera in settings.cameras})
                if gallery.refresh():
                    inference.use(gallery.matcher)
                reporter.report(gallery.matcher, gallery.notes)
    finally:
        gallery.close()
        rings.close()
        inbox.close()
        outbox.close()
        if archive:
            archive.close()


def open_signer(settings: Settings, generator: str) -> tuple[Signer | None, tuple[str, ...]]:
    """What signs the reconstructions of a generator ("": there is none), or a note that says why nothing does.

    Live pictures do not wait for a key: without one, reconstructions are marked all the same.
    """
    if not generator:
        return None, ()
    try:
        key = SigningKey.open(settings.signing.key)
    except SigningError as error:
        return None, (f"reconstructions are not signed: {error}",)
    return Signer(key, f"unvizard {stream.__version__}", generator), ()


def _pictures(waiting: Waiting, rings: RingReader) -> Sequence[Picture]:
    """The frames that wait, with their pixels; those whose pixels are gone are counted as skipped."""
    pictures = []
    for frame in waiting.take():
        ring = rings.ring(frame.camera, frame.ring)
        i420 = None if ring is None else ring.read(Place(frame.slot, frame.generation))
        if i420 is None:
            waiting.skip(frame.camera, "overwritten")
            continue
        rgb = cv2.cvtColor(i420, cv2.COLOR_YUV2RGB_I420)
        pictures.append(Picture(frame, rgb, waiting.skipped(frame.camera)))
    return pictures


class _Reporter:
    """Says once a second how inference does."""

    def __init__(
        self, outbox: Outbox, archive: Outbox | None, networks: Networks, notes: Sequence[str]
    ) -> None:
        self._outbox, self.archive = outbox, archive
        self._networks, self._notes = networks, tuple(notes)
        self.not_archived = 0  # messages that the recorder did not take
        self._busy_s = 0.0
        self._last_s = -_STATUS_EVERY_S

    def worked(self, seconds: float) -> None:
        self._busy_s += seconds

    def due(self) -> bool:
        return time.monotonic() - self._last_s >= _STATUS_EVERY_S

    def report(self, matcher: Matcher, notes: Sequence[str]) -> None:
        now = time.monotonic()
        load = min(1.0, self._busy_s / max(now - self._last_s, 1e-9))
        self._busy_s, self._last_s = 0.0, now
        own = (_NOT_ARCHIVED,) if self.not_archived else ()
        status = InferenceStatus(
            engines=self._networks.engines,
            notes=(*self._networks.notes, *self._notes, *notes, *own),
            gallery_people=matcher.people,
            load=load,
            gallery_version=matcher.snapshot.version,
            calibration=matcher.calibration.sha256,
        )
        self._outbox.send(status)
        if self.archive:
            self.archive.send(status)
