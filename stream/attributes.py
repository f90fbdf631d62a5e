"""Attributes of faces in a run: estimated for a stated purpose only, and kept only where that is asked for."""

from __future__ import annotations

import getpass

import msgspec

from engines.recognition.audit import Action
from engines.recognition.gallery import Gallery
from stream.config import Settings
from stream.messages import FrameResult


def log_purpose(settings: Settings) -> tuple[str, ...]:
    """Write the purpose into the gallery's log and return a note for people; nothing where attributes are off.

    Raises GalleryError when it cannot be written: without it nothing is estimated.
    """
    chosen = settings.attributes
    if not chosen.enabled:
        return ()
    purpose, kept = " ".join((chosen.purpose or "").split()), "stored" if chosen.store else "not stored"
    settings.recognition.gallery.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with Gallery(settings.recognition.gallery) as gallery:
        gallery.log(Action.ESTIMATING, _actor(), f"gender, {kept}, purpose: {purpose}")
    return (f"gender is estimated, {kept}, for this purpose: {purpose}",)


def without_estimates(result: FrameResult) -> FrameResult:
    """The same, for what is kept where estimates are not to be."""
    if all(face.gender is None for face in result.faces):
        return result
    faces = tuple(msgspec.structs.replace(face, gender=None) for face in result.faces)
    return msgspec.structs.replace(result, faces=faces)


def _actor() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
