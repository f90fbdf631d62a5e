"""The gallery as the running pipeline sees it: loaded at start, and again when somebody is enrolled or removed."""

from __future__ import annotations

import logging

from engines.recognition.calibration import Calibration
from engines.recognition.gallery import Gallery, GalleryError, GallerySnapshot
from engines.recognition.matcher import Matcher
from stream.config import Recognition

log = logging.getLogger(__name__)


class GalleryWatch:
    """Keeps a matcher for the newest state of a gallery.

    A gallery that cannot be read leaves the last good one in force, and says so in `notes`.
    """

    def __init__(self, settings: Recognition, space: str, generator_sha256: str) -> None:
        """space: of the embedder in use. generator_sha256: of the unmasking network, empty without one.
        Raises CalibrationError, and GalleryError when there is no usable gallery to begin with.
        """
        self._settings, self._space, self._generator = settings, space, generator_sha256
        self._calibration = Calibration.load()
        settings.gallery.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._gallery = Gallery(settings.gallery)
        self._version = -1
        self._problem: str | None = None
        self.matcher = Matcher(GallerySnapshot.empty(), self._calibration, settings.prior_enrolled)
        if not self.refresh() and self._problem:
            raise GalleryError(self._problem)

    @property
    def people(self) -> int:
        """How many are enrolled."""
        return self.matcher.people

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of the gallery, a sentence each."""
        return (*self.matcher.notes, *((self._problem,) if self._problem else ()))

    def refresh(self) -> bool:
        """Load the gallery if it has changed; whether `matcher` is a new one."""
        try:
            version = self._gallery.version
            if version == self._version:
                self._problem = None
                return False
            snapshot = self._gallery.load(self._space)
        except GalleryError as error:
            if self._problem is None:
                log.warning("%s", error)
            self._problem = str(error)
            return False
        self._version, self._problem = version, None
        self.matcher = Matcher(snapshot, self._calibration, self._settings.prior_enrolled, self._generator)
        return True

    def close(self) -> None:
        """Let go of the file."""
        self._gallery.close()
