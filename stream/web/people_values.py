"""People, pictures and advice as the pages and the API say them: plain values, times in milliseconds since 1970."""

from __future__ import annotations

from typing import Any

from engines.recognition.enrolled import Person, Receipt
from stream.archive.archive import Receipt as ArchiveReceipt
from stream.erasing import Erased
from stream.web.advice import about_quality
from stream.web.bulk import Progress
from stream.web.people_desk import Advice
from stream.web.tray import Waiting

_MS = 1_000_000


def person_value(person: Person) -> dict[str, Any]:
    """Somebody enrolled."""
    revoked = person.revoked_wall_ns
    return {
        "id": person.id,
        "name": person.name,
        "pictures": person.pictures,
        "ground": person.ground,
        "since_ms": person.since_wall_ns // _MS,
        "revoked_ms": None if revoked is None else revoked // _MS,
    }


def waiting_value(waiting: Waiting) -> dict[str, Any]:
    """A picture on the tray. faces: largest first, boxes in shares of width and height."""
    looked = waiting.looked
    return {
        "token": waiting.token,
        "file": waiting.file,
        "width": looked.width,
        "height": looked.height,
        "usable": looked.template is not None,
        "refusal": looked.refusal,
        "quality": looked.template.quality if looked.template else None,
        "hints": about_quality(looked),
        "faces": [
            {
                "box": [round(value, 4) for value in face.box],
                "eye_distance": round(face.eye_distance, 1),
                "yaw": round(face.yaw, 1),
                "sharpness": round(face.sharpness, 1),
                "quality": round(face.weight, 3),
            }
            for face in looked.faces
        ],
    }


def advice_value(token: str, advice: Advice) -> dict[str, Any]:
    """What speaks against enrolling a picture."""
    return {
        "token": token,
        "problem": advice.problem,
        "twin": advice.twin,
        "owner": advice.owner,
        "alike": [
            {"id": each.person, "name": each.name, "similarity": round(each.similarity, 3)}
            for each in advice.alike
        ],
    }


def erased_value(erased: Erased) -> dict[str, Any]:
    """Both receipts of an erasure."""
    return {
        "gallery": {
            **_receipt(erased.gallery),
            "pictures": erased.gallery.pictures,
            "keys_destroyed": erased.gallery.keys_destroyed,
        },
        "recordings": [
            {
                **_receipt(each),
                "sightings": each.sightings,
                "frames": each.frames,
                "events": each.events,
                "copies": each.copies,
            }
            for each in erased.recordings
        ],
        "left": list(erased.left),
        "problem": erased.problem,
    }


def progress_value(progress: Progress | None) -> dict[str, Any]:
    """How far an album is; nothing but `running` when there was none."""
    if progress is None:
        return {"running": False, "total": 0}
    return {
        "running": progress.running,
        "total": progress.total,
        "done": progress.done,
        "enrolled": progress.enrolled,
        "people": len(progress.people),
        "refusals": progress.refusals,
        "refused": [{"file": file, "reason": reason} for file, reason in list(progress.refused)],
        "cancelled": progress.cancelled,
        "problem": progress.problem,
    }


def _receipt(receipt: Receipt | ArchiveReceipt) -> dict[str, Any]:
    return {
        "person": receipt.person,
        "name": receipt.name,
        "at_ms": receipt.wall_ns // _MS,
        "line": receipt.sequence,
        "mark": receipt.mark.hex(),
        "scrubbed": receipt.scrubbed,
    }
