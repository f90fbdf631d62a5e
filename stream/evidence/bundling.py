"""An evidence bundle of one sighting: its footage untouched, what was seen on it, and a report, signed together.

The people around the one whom it is about are in the footage, and cannot be left out of it; in what is written they
are boxes without names or scores.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import msgspec

from engines.models import WEIGHTS, file_sha256
from engines.recognition.audit import Action, Entry
from engines.signing import SigningKey
from stream.archive.archive import Archive, ArchiveError
from stream.evidence.bundle import (
    ANNOTATION,
    CUSTODY,
    REPORT,
    VERSIONS,
    BundleError,
    BundleWriter,
    Manifest,
)
from stream.evidence.case import Case, Custody, gather
from stream.evidence.report import render
from stream.messages import TrackedFace
from stream.moments import utc
from stream.stills import veiled_sighting

_PICTURES = (("look", "jpg"), ("original", "png"), ("reconstruction", "png"))


@dataclass(frozen=True, slots=True)
class Export:
    """What is wanted, by whom, and why. before_s, after_s: seconds of footage around the sighting. confirmations:
    by how many people a name has to be confirmed at this installation. blur_others: whoever is not recognised as
    somebody enrolled is unrecognisable in stills and pictures, and the footage, in which nobody can be, is left out
    unless unblurred_footage says that it is to be handed over all the same.
    """

    sighting: int
    exported_by: str
    reason: str
    before_s: float = 5.0
    after_s: float = 10.0
    confirmations: int = 1
    blur_others: bool = False
    unblurred_footage: bool = False

    @property
    def with_footage(self) -> bool:
        """Whether the camera's own packets are handed over."""
        return not self.blur_others or self.unblurred_footage

    def __post_init__(self) -> None:
        """Raises BundleError for what is left out or impossible."""
        for name in ("exported_by", "reason"):
            if not getattr(self, name).strip():
                raise BundleError(f"{name}: must be given: evidence is handed over by somebody, for a reason")
        for name in ("before_s", "after_s"):
            if not 0 <= getattr(self, name) <= 3600:
                raise BundleError(f"{name}: must be 0 to 3600 seconds, found {getattr(self, name):g}")


def make_bundle(
    archive: Archive,
    export: Export,
    path: Path,
    key: SigningKey,
    product: str,
    clock_ns: Callable[[], int] = time.time_ns,
    watch: Callable[[float], None] = lambda share: None,
) -> Manifest:
    """Write a bundle to a path that is free. The archive's log gets a line before anything is read.

    product: name and version. watch: told the share that is done, 0 to 1; when it raises, nothing is left behind.
    Raises BundleError and ArchiveError.
    """
    now_ns = clock_ns()
    copying = _Copying(watch)
    with BundleWriter(path, key, product, now_ns, copying.took) as writer:
        sighting = archive.sighting(export.sighting)
        entry = archive.log(Action.BUNDLED, sighting.person or "", _said(export))
        if entry is None:
            raise BundleError(
                f"{archive.folder}: cannot be written, so the export cannot be logged; evidence is handed "
                "over from the "
                "archive that has the log"
            )
        if export.blur_others:
            sighting = veiled_sighting(sighting)
        around = export.before_s, export.after_s
        case = gather(archive, sighting, *around, export.confirmations, export.blur_others)
        files: dict[int, str] = {}
        if export.with_footage:
            copying.bytes = sum(segment.bytes for segment in case.segments)
            files = _copy_footage(archive, case, writer)
        case.notes.extend(_about_veil(export, case))
        for number, still in enumerate(case.stills, 1):
            name = f"stills/{number}-{still.why.replace(' ', '-')}.png"
            writer.add(name, cv2.imencode(".png", still.bgr)[1].tobytes())
        for kind, ending in _PICTURES:
            if data := getattr(sighting, kind):
                writer.add(f"pictures/{kind}.{ending}", data)
        custody = _custody(export, entry, key, now_ns, case)
        writer.add(ANNOTATION, _json(_annotation(archive, case, files)))
        writer.add(VERSIONS, _json(_versions(case, product)))
        writer.add(CUSTODY, _json(msgspec.to_builtins(custody)))
        writer.add(REPORT, render(case, custody, tuple(writer.files), product).encode())
        return writer.finish()


def _said(export: Export) -> str:
    unblurred = export.blur_others and export.unblurred_footage
    footage = ", with footage in which nobody is blurred" if unblurred else ""
    return f"sighting {export.sighting}{footage}: {export.reason}"


def _about_veil(export: Export, case: Case) -> Iterator[str]:
    if not export.blur_others:
        return
    yield "In stills and pictures, whoever was not recognised as somebody enrolled was made unrecognisable for good."
    if case.segments and export.unblurred_footage:
        yield (
            "The footage is as it was recorded: everybody can be seen in it. Whoever handed it over said that it shall "
            "be so."
        )
    elif case.segments:
        yield "The footage was left out: it is kept as it was recorded, and everybody can be seen in it."


class _Copying:
    """Counts what of the footage is copied. bytes: of all of it."""

    def __init__(self, watch: Callable[[float], None]) -> None:
        self.bytes, self._done, self._watch = 0, 0, watch

    def took(self, size: int) -> None:
        self._done += size
        self._watch(min(self._done / max(self.bytes, 1), 1.0))


def _copy_footage(archive: Archive, case: Case, writer: BundleWriter) -> dict[int, str]:
    """The name in the bundle of each segment that could be copied, by its id."""
    files = {}
    for segment in case.segments:
        try:
            source = (archive.folder / segment.path).open("rb")
        except OSError as error:
            case.notes.append(f"The footage {segment.path} could not be read: {error.strerror}.")
            continue
        with source:
            size = source.seek(0, 2)
            source.seek(0)
            files[segment.id] = writer.copy(f"footage/{segment.path}", source, size).path
        if not segment.complete:
            case.notes.append(
                f"The footage {segment.path} was not closed in order: it was still being recorded, or was cut off."
            )
    return files


def _annotation(archive: Archive, case: Case, files: dict[int, str]) -> dict[str, Any]:
    sighting = case.sighting
    return {
        "format": "unvizard evidence annotation 1",
        "times": "nanoseconds of UTC since 1970 (wall) and on the footage's own timeline (media)",
        "sighting": {
            "id": sighting.id,
            "camera": sighting.camera,
            "track": sighting.track,
            "run": sighting.run,
            "epoch": sighting.epoch,
            "first": _moment(sighting.first_ns, sighting.first_media_ns),
            "last": _moment(sighting.last_ns, sighting.last_media_ns),
            "decision": sighting.decision,
            "person": sighting.person,
            "probability": sighting.probability,
            "mask": sighting.mask,
            "candidates": msgspec.to_builtins(sighting.candidates),
            "looks_reconstructed_from": sighting.looks,
            "no_reconstruction": sighting.no_reconstruction or None,
        },
        "confirmation": {
            "state": case.standing.state,
            "people_needed": case.standing.needed,
            "verdicts": [
                {
                    "account": v.account,
                    "said": v.said,
                    "note": v.note,
                    "utc": utc(v.at_ns),
                    "wall_ns": v.at_ns,
                }
                for v in case.standing.verdicts
            ],
        },
        "recognition": {
            "prior_enrolled": case.recognition.prior,
            "decide_at": case.recognition.decide_at,
            "people_enrolled": case.recognition.people,
            "gallery_version": case.recognition.gallery,
        },
        "footage": [
            {
                "file": files.get(segment.id),
                "codec": segment.codec,
                "width": segment.width,
                "height": segment.height,
                "frames": segment.frames,
                "clock": segment.clock,
                "complete": segment.complete,
                "reason": segment.reason,
                "began": _moment(segment.began_ns, segment.began_media_ns),
                "ended": _moment(segment.ended_ns, segment.ended_media_ns),
                "media_and_wall_ns": archive.clock(segment.id),
            }
            for segment in case.segments
        ],
        "frames": [
            {
                "sequence": frame.sequence,
                **_moment(frame.wall_ns, frame.media_ns),
                "epoch": frame.epoch,
                "step": frame.step,
                "gallery_version": frame.gallery,
                "hash": frame.hash.hex(),
                "face": msgspec.to_builtins(case.face(frame)),
                "others": [_anonymous(face) for face in frame.faces if face is not case.face(frame)],
            }
            for frame in case.frames
        ],
    }


def _anonymous(face: TrackedFace) -> dict[str, Any]:
    return {"track": face.track, "box": face.box, "score": face.score, "mask": face.mask}


def _versions(case: Case, product: str) -> dict[str, Any]:
    run = case.run
    return {
        "format": "unvizard evidence versions 1",
        "made_with": product,
        "recorded_with": f"unvizard {run.version}" if run else None,
        "engines": case.sighting.versions.get("engines") or (run.engines if run else {}),
        "generator_sha256": case.sighting.versions.get("generator"),
        "calibration_sha256": case.sighting.versions.get("calibration"),
        "calibration_sha256_at_export": file_sha256(WEIGHTS / "calibration.json"),
        "gallery_version": case.recognition.gallery,
        "embedding_space": case.sighting.space or None,
        "settings": {
            name: run.settings.get(name)
            for name in ("detection", "tracking", "quality", "unmasking", "recognition", "engines")
        }
        if run
        else None,
    }


def _custody(export: Export, entry: Entry, key: SigningKey, now_ns: int, case: Case) -> Custody:
    return Custody(
        format="unvizard evidence custody 1",
        exported_by=export.exported_by.strip(),
        account=entry.actor,
        reason=export.reason.strip(),
        exported=utc(now_ns),
        exported_ns=now_ns,
        installation=key.public.fingerprint,
        log_line=entry.sequence,
        log_mark=entry.mark.hex(),
        notes=tuple(dict.fromkeys(case.notes)),
    )


def _moment(wall_ns: int, media_ns: int) -> dict[str, Any]:
    return {"utc": utc(wall_ns), "wall_ns": wall_ns, "media_ns": media_ns}


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1)


__all__ = ["ArchiveError", "BundleError", "Export", "make_bundle"]
