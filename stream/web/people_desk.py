"""What the people page keeps from one request to the next, and how pictures become people."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from engines.recognition.calibration import Calibration, CalibrationError
from engines.recognition.enrolled import GallerySnapshot, Person, Template
from engines.recognition.enrolment import Refused, check_identity
from engines.recognition.gallery import GalleryError
from stream.calibration import calibration_of
from stream.config import Recognition
from stream.web.account import Account
from stream.web.advice import Alike, alike, someone_else
from stream.web.bulk import Bulk
from stream.web.roster import Roster
from stream.web.tray import Tray, Waiting
from stream.web.workshop import Workshop, WorkshopBusy

_MOST_UPLOADS = 16


@dataclass(frozen=True, slots=True)
class Advice:
    """What speaks against enrolling a picture for a name.

    problem: why it would be refused. twin: somebody enrolled, when looking like them is all that speaks against it, and
    it may be said that they are two people (although_like). owner: for whom the very same picture is enrolled.
    """

    alike: tuple[Alike, ...] = ()
    owner: str | None = None
    problem: str = ""
    twin: str | None = None


class PeopleDesk:
    """One an office. Threads may share it."""

    def __init__(self, chosen: Recognition, workshop: Workshop) -> None:
        self.roster, self.tray, self.bulk = Roster(chosen.gallery), Tray(), Bulk()
        self.inbox = chosen.gallery.parent / "import"
        """Folder of this machine from which an album may be enrolled."""
        self._chosen, self._workshop = chosen, workshop
        self._pictures = threading.BoundedSemaphore(_MOST_UPLOADS)
        self._albums = threading.BoundedSemaphore(1)

    def close(self) -> None:
        """Done with it."""
        self.bulk.close()
        self.roster.close()

    @contextmanager
    def uploading(self, album: bool = False) -> Iterator[None]:
        """While a picture or an album is being sent and looked at: so many at once, that their bytes find room. Raises
        WorkshopBusy.
        """
        places = self._albums if album else self._pictures
        if not places.acquire(blocking=False):
            raise WorkshopBusy("too many files are being sent at once: try again in a moment")
        try:
            yield
        finally:
            places.release()

    def look(self, account: Account, file: str, picture: bytes) -> Waiting:
        """Look at a picture, and keep it on the tray. Raises Refused, WorkshopError."""
        return self.tray.put(account, file, self._workshop.examine(picture))

    def advise(self, waiting: Sequence[Waiting], name: str) -> list[Advice]:
        """For each picture, as far as the gallery and the others tell. name: empty while none is chosen."""
        templates = [each.looked.template.template() if each.looked.template else None for each in waiting]
        usable = [template for template in templates if template]
        return [self._advice(template, usable, name) if template else Advice() for template in templates]

    def enrol(
        self, name: str, ground: str, template: Template, although_like: Sequence[str], actor: str
    ) -> Person:
        """Enrol a picture. Raises Refused, GalleryError, ValueError."""
        with self.roster.gallery() as gallery:
            check_identity(
                template, name, self._comparable(template), self._calibration(template), although_like
            )
            return gallery.add(name, template, ground, actor)

    def enrol_picture(self, name: str, ground: str, picture: bytes, actor: str) -> Person:
        """Look at a picture and enrol it. Raises Refused, GalleryError, WorkshopError, ValueError."""
        looked = self._workshop.examine(picture)
        if looked.template is None:
            raise Refused(looked.refusal)
        template = looked.template.template()
        with self.roster.gallery() as gallery:
            if owner := gallery.owner_of_picture(template.digest):
                raise Refused(f"the very same photograph is already enrolled as {owner}")
            known = gallery.find(name)
            if known and known.revoked_wall_ns is not None:
                raise Refused(f"{known.name} is revoked")
            return self.enrol(name, ground, template, (), actor)

    def _advice(self, template: Template, others: Sequence[Template], name: str) -> Advice:
        with self.roster.gallery() as gallery:
            owner = gallery.owner_of_picture(template.digest)
        faces, calibration = self._comparable(template), self._calibration(template)
        like = tuple(alike(template, faces, calibration))
        if owner:
            return Advice(like, owner, f"the very same photograph is already enrolled as {owner}")
        if someone_else(template, [other for other in others if other is not template], calibration):
            return Advice(like, problem="shows someone else than the other pictures")
        if not name:
            return Advice(like)
        try:
            check_identity(template, name, faces, calibration)
        except ValueError as refusal:
            return Advice(like, None, str(refusal), self._twin(template, name, like))
        return Advice(like)

    def _twin(self, template: Template, name: str, like: Sequence[Alike]) -> str | None:
        """Somebody else without whom the picture would be taken."""
        names = [each.name for each in like]
        try:
            check_identity(template, name, self._comparable(template), self._calibration(template), names)
        except ValueError:
            return None
        return names[0] if names else None

    def _calibration(self, template: Template) -> Calibration:
        """How alike vectors of the template's embedder are. Raises GalleryError."""
        try:
            return calibration_of(self._chosen, template.space)
        except CalibrationError as error:
            raise GalleryError(str(error)) from None

    def _comparable(self, template: Template) -> GallerySnapshot:
        """Everyone's faces. Raises GalleryError when they are of another embedder."""
        faces = self.roster.faces()
        if len(faces.matrix) and faces.space != template.space:
            raise GalleryError(
                "the gallery's templates are of another embedder and are being made anew: try again when that is done"
            )
        return faces
