"""Templates for other embedders, made in the background from the pictures that the gallery keeps."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from engines.recognition.enrolment import Refused, views_of
from engines.recognition.evidence import EvidenceMaker
from engines.recognition.gallery import Gallery, GalleryError

log = logging.getLogger(__name__)

_ACTOR = "pipeline"
_NICE = 10
_TELL_EVERY_S = 1.0


class Renewal:
    """One thread, at low priority, that brings a gallery to the embedders in use; the gallery changes in one step.

    While it works the gallery stays as it was, and people may be enrolled and removed; those that come meanwhile are
    templates of the embedders in use anyway. Killed half way, it has changed nothing and begins anew next time.
    """

    def __init__(self, gallery: Path, open_evidence: Callable[[], EvidenceMaker]) -> None:
        """open_evidence: opens networks of its own, since an engine may be used by one thread at a time."""
        self._path, self._open = gallery, open_evidence
        self._done, self._all = 0, 0
        self._stop = threading.Event()
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="renewal", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether there is more to do."""
        return self._thread.is_alive()

    @property
    def share(self) -> float:
        """How much is done, 0..1."""
        return self._done / self._all if self._all else 0.0

    def stop(self) -> None:
        """Give up soon, and change nothing."""
        self._stop.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        try:
            os.setpriority(
                os.PRIO_PROCESS, threading.get_native_id(), _NICE
            )  # of this thread alone, on Linux
            with Gallery(self._path) as gallery:
                pictures = gallery.pictures()
                self._all = len(pictures)
                if not pictures:
                    return
                evidence = self._open()
                made = {}
                told_s = time.monotonic()
                for template, picture in pictures.items():
                    if self._stop.is_set():
                        return
                    made[template] = views_of(picture, evidence)
                    self._done += 1
                    if time.monotonic() >= told_s + _TELL_EVERY_S:
                        told_s = time.monotonic()
                        gallery.tell_renewal(self.share)
                count = gallery.renew(made, evidence.space, evidence.views_space, _ACTOR)
                gallery.tell_renewal(None)
                log.info("%s: %d templates were made anew for the embedders in use", self._path, count)
        except (GalleryError, Refused, OSError) as error:
            self.problem = str(error)
            log.warning("the gallery's templates could not be made anew: %s", error)
        except Exception as error:
            self.problem = f"the gallery's templates could not be made anew: {error}"
            log.exception("renewal of the gallery failed")
