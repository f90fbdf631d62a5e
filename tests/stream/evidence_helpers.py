"""A small real archive with one sighting that has everything: footage, frames, pictures, scores and somebody beside."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from footage_maker import Clip, add_segment, encode, media_ns, wall_ns
from msgspec import structs

from engines.masks.state import MaskState
from engines.signing import SigningKey
from engines.unmasking.claim import Signer
from engines.unmasking.mark import marked_png
from stream.archive.annotations import AnnotatedFrame
from stream.archive.archive import Archive
from stream.archive.sightings import Sighting
from stream.messages import Candidate, TrackedFace, annotation_hash

CAMERA, PERSON, BYSTANDER = "door", "Ada <b>Lovelace</b>", "Somebody Else"
FIRST, BEST, LAST = 12, 21, 33
EPOCH = 7
CANDIDATES = (
    Candidate(PERSON, 0.97, {"raw": 0.61, "unmasked": 0.48}),
    Candidate("Grace Hopper", 0.01, {"raw": 0.12, "unmasked": 0.2}),
)
SETTINGS = {"recognition": {"prior_enrolled": 0.5, "decide_at": 0.9}}


def make_clip() -> Clip:
    return encode(60, gop=20)


def fill(folder: Path, clip: Clip, key: SigningKey, strangers: tuple[int, ...] = ()) -> int:
    """Make the archive; the sighting's number. Its footage lies in two segments.

    strangers: of the tracks 5 (whom the sighting is of) and 6 (who stands beside), those of nobody enrolled.
    """
    with Archive.open(folder, write=True) as archive:
        run = archive.begin_run(wall_ns(0), "9.9", SETTINGS, {})
        add_segment(archive, run, CAMERA, clip, clip.shots[:20], "door/2026-09-21/one.mp4")
        add_segment(archive, run, CAMERA, clip, clip.shots[20:], "door/2026-09-21/two.mp4")
        archive.add_frames(run, CAMERA, [_frame(number, clip, strangers) for number in range(60)])
        crop = np.random.default_rng(1).integers(60, 200, (16, 16, 3), np.uint8)
        crop = np.asarray(cv2.resize(crop, (128, 128), interpolation=cv2.INTER_CUBIC), np.uint8)
        region = np.zeros((128, 128), np.float32)
        region[70:110, 30:100] = 1
        return archive.put_sighting(
            Sighting(
                camera=CAMERA,
                run=run,
                epoch=EPOCH,
                track=5,
                first_ns=wall_ns(FIRST),
                last_ns=wall_ns(LAST),
                first_media_ns=media_ns(FIRST),
                last_media_ns=media_ns(LAST),
                decision="nobody" if 5 in strangers else "person",
                person=None if 5 in strangers else PERSON,
                probability=0.97,
                mask=MaskState.WORN,
                candidates=CANDIDATES,
                versions={"generator": "ab" * 32, "engines": {}, "gallery": 3, "gallery_people": 2},
                look=cv2.imencode(".jpg", crop)[1].tobytes(),
                original=cv2.imencode(".png", crop)[1].tobytes(),
                reconstruction=marked_png(crop, region, signer=Signer(key, "unvizard 9.9", "ab" * 32)),
                looks=5,
            )
        )


def _frame(number: int, clip: Clip, strangers: tuple[int, ...]) -> AnnotatedFrame:
    faces = (_face(6, 200.0 + number, BYSTANDER, (Candidate(BYSTANDER, 0.99, {"raw": 0.8}),)),)
    if FIRST <= number <= LAST:
        faces = (_face(5, 20.0 + 2 * number, PERSON, CANDIDATES, 60 + 6 * (number == BEST)), *faces)
    faces = tuple(
        structs.replace(face, decision="nobody", person=None) if face.track in strangers else face
        for face in faces
    )
    return AnnotatedFrame(
        sequence=number + 1,
        media_ns=media_ns(number),
        wall_ns=wall_ns(number),
        width=clip.width,
        height=clip.height,
        epoch=EPOCH,
        step=number + 1,
        gallery=3,
        faces=faces,
        hash=annotation_hash(faces),
    )


def _face(
    track: int, left: float, person: str, candidates: tuple[Candidate, ...], height: float = 60
) -> TrackedFace:
    box = (left, 40.0, left + 50.0, 40.0 + height)
    points = tuple((left + 10 * i, 60.0) for i in range(5))
    return TrackedFace(
        track, box, points, 0.98, MaskState.WORN, 0.9, "person", person, 0.97, candidates, None
    )
