"""The gallery as the running pipeline sees it: loaded at start, and again when somebody is enrolled or removed."""

from __future__ import annotations

import logging
from collections.abc import Callable

from engines.recognition.enrolled import GallerySnapshot
from engines.recognition.evidence import EvidenceMaker
from engines.recognition.gallery import Gallery, GalleryError
from engines.recognition.matcher import Matcher
from stream.calibration import calibration_of
from stream.config import Recognition
from stream.renewal import Renewal

log = logging.getLogger(__name__)


class GalleryWatch:
    """Keeps a matcher for the newest state of a gallery.

    A gallery that cannot be read leaves the last good one in force, and says so in `notes`. One whose templates are of
    other embedders is renewed in the background where it keeps the pictures; until then it is used as far as it goes.
    """

    def __init__(
        self,
        settings: Recognition,
        space: str,
        views_space: str,
        generator_sha256: str,
        open_evidence: Callable[[], EvidenceMaker],
    ) -> None:
        """space, views_space: of the embedders in use. generator_sha256: of the unmasking network, empty without one.
        open_evidence: opens the embedders once more, for the renewal. Raises CalibrationError, and GalleryError when
        there is no usable gallery to begin with.
        """
        self._settings, self._space, self._views_space = settings, space, views_space
        self._generator, self._open_evidence = generator_sha256, open_evidence
        self._calibration = calibration_of(settings, space)
        settings.gallery.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._gallery = Gallery(settings.gallery)
        self._renewal: Renewal | None = None
        self._version = self._seen_version = -1
        self._problem: str | None = None
        self.matcher = self._matcher(GallerySnapshot.empty())
        if not self.refresh() and not self._renewing:
            raise GalleryError(self._problem or "the gallery cannot be read")

    @property
    def people(self) -> int:
        """How many are enrolled."""
        return self.matcher.people

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of the gallery, a sentence each."""
        notes = [*self.matcher.notes, *((self._problem,) if self._problem else ())]
        if self._renewal and self._renewing:
            notes.append(f"templates are being made for the new embedder: {self._renewal.share:.0%} done")
        elif not self.matcher.snapshot.complete:
            notes.append(
                "some people were enrolled before pictures were kept: behind masks they are recognised less well "
                "until they are enrolled again"
            )
        return tuple(notes)

    def refresh(self) -> bool:
        """Load the gallery if it has changed; whether `matcher` is a new one."""
        try:
            version = self._gallery.version
            if version == self._version:
                self._problem = None
                return False
            self._renew_if_stale(version)
            snapshot = self._gallery.load(self._space, self._views_space)
        except GalleryError as error:
            if self._problem is None:
                log.warning("%s", error)
            self._problem = str(error)
            return False
        self._version, self._problem = version, None
        self.matcher = self._matcher(snapshot)
        return True

    def close(self) -> None:
        """Let go of the file."""
        if self._renewal:
            self._renewal.stop()
        self._gallery.close()

    @property
    def _renewing(self) -> bool:
        return self._renewal is not None and self._renewal.running

    def _matcher(self, snapshot: GallerySnapshot) -> Matcher:
        chosen = self._settings
        return Matcher(
            snapshot, self._calibration, chosen.prior_enrolled, self._generator, chosen.false_alarms
        )

    def _renew_if_stale(self, version: int) -> None:
        """Once for each version, so that a renewal that fails is not begun again and again."""
        if version == self._seen_version or self._renewing:
            return
        self._seen_version = version
        stale = not self._gallery.read_only and self._gallery.stale(self._space, self._views_space)
        if stale and self._gallery.keeps_pictures():
            self._renewal = Renewal(self._settings.gallery, self._open_evidence)
