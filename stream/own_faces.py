"""How well recognition does on the people of this gallery: each kept picture is compared with all others.

Every picture is a *probe* in turn, as it is and with a mask drawn on it. Whether its own person is found is asked with
the picture itself left out of the gallery; whether a stranger would be taken for somebody, with the whole person left
out. Decisions are those of a single look, by the matcher and the settings that run live.

These are pictures of enrolment: large, sharp, from the front. A face in the street is missed more often.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from engines.alignment import RECOGNITION_POINTS, RECOGNITION_SIZE
from engines.masks.synthesis import draw_mask
from engines.recognition.bootstrap import People, estimate
from engines.recognition.calibration import Calibration
from engines.recognition.enrolled import GallerySnapshot
from engines.recognition.evidence import EvidenceMaker, SeenFace, Vector
from engines.recognition.matcher import Match, Matcher
from stream.config import Recognition

MOST_PROBES = 400
FEWEST_PROBES, FEWEST_PEOPLE = 30, 10
_SEED = 20
_BATCH = 16

Crop = NDArray[np.uint8]
Progress = Callable[[float], None]


class Rate(msgspec.Struct, frozen=True):
    """A share of probes that met something, with its 95 % interval; all None where there is not enough data.

    probes: how many were tried, of how many people. said: what is missing, or "".
    """

    probes: int
    people: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    said: str = ""


class Condition(msgspec.Struct, frozen=True):
    """missed: of people who are enrolled, those not named. confused: those named as somebody else. false_alarms: of
    people who are not enrolled, those named.
    """

    missed: Rate
    confused: Rate
    false_alarms: Rate


class OwnFaces(msgspec.Struct, frozen=True):
    """What was found. wanted: recognition.false_alarms. skipped: pictures that were not kept and so cannot be tried."""

    people: int
    pictures: int
    skipped: int
    wanted: float
    decide_at: float
    calibration: str
    bare: Condition
    masked: Condition


def measure(
    snapshot: GallerySnapshot,
    crops: Sequence[Crop | None],
    evidence: EvidenceMaker,
    calibration: Calibration,
    chosen: Recognition,
    progress: Progress,
) -> OwnFaces:
    """crops: of each row of the snapshot, uint8 RGB [112, 112, 3]; None where none was kept."""
    rng = np.random.default_rng(_SEED)
    kept = np.array([row for row, crop in enumerate(crops) if crop is not None], np.intp)
    probes = np.sort(rng.permutation(kept)[:MOST_PROBES])
    count = np.bincount(snapshot.owner, minlength=len(snapshot.ids))
    found: dict[bool, list[tuple[int, str, bool]]] = {False: [], True: []}
    for begin in range(0, len(probes), _BATCH):
        batch = probes[begin : begin + _BATCH]
        looks = _looks([crops[row] for row in batch], batch, evidence)
        for row, bare, masked in zip(batch, looks[False], looks[True], strict=True):
            person = int(snapshot.owner[row])
            without_person = _matcher(snapshot, snapshot.owner != person, calibration, chosen)
            rest = np.arange(len(snapshot.owner)) != row
            without_picture = _matcher(snapshot, rest, calibration, chosen) if count[person] > 1 else None
            for behind_mask, look in ((False, bare), (True, masked)):
                named = _named(without_picture, look, behind_mask, chosen) if without_picture else None
                genuine = "" if named is None else _outcome(named, snapshot.ids[person])
                alarm = bool(_named(without_person, look, behind_mask, chosen))
                found[behind_mask].append((person, genuine, alarm))
        progress(min(1.0, (begin + len(batch)) / len(probes)))
    return OwnFaces(
        people=len(snapshot.ids),
        pictures=len(snapshot.owner),
        skipped=len(crops) - len(kept),
        wanted=chosen.false_alarms,
        decide_at=chosen.decide_at,
        calibration=calibration.sha256,
        bare=_condition(found[False]),
        masked=_condition(found[True]),
    )


def crop_of(picture: bytes | None) -> Crop | None:
    """A kept picture (Template.picture) in the recognition frame; None when there is none."""
    data = np.frombuffer(picture or b"", np.uint8)
    found = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if found is None:
        return None
    small = cv2.resize(found, (RECOGNITION_SIZE, RECOGNITION_SIZE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), np.uint8)


def _looks(
    crops: Sequence[Crop | None], rows: NDArray[np.intp], evidence: EvidenceMaker
) -> dict[bool, list[dict[str, Vector]]]:
    """Of each probe as it is (False) and with a mask drawn on it (True); without a reconstruction, which can only lower
    a probability.
    """
    whole = [crop for crop in crops if crop is not None]
    drawn = [
        draw_mask(crop, RECOGNITION_POINTS, np.random.default_rng([_SEED, int(row)]))[0]
        for crop, row in zip(whole, rows, strict=True)
    ]
    seen = [SeenFace(crop, masked) for masked, some in ((False, whole), (True, drawn)) for crop in some]
    looks = evidence.looks(seen)
    return {False: looks[: len(whole)], True: looks[len(whole) :]}


def _matcher(
    snapshot: GallerySnapshot, keep: NDArray[np.bool_], calibration: Calibration, chosen: Recognition
) -> Matcher:
    """Of the gallery with some rows only; people without a row are not enrolled."""
    people, owner = np.unique(snapshot.owner[keep], return_inverse=True)
    empty = GallerySnapshot.empty()
    part = replace(
        snapshot,
        ids=tuple(snapshot.ids[person] for person in people),
        names=tuple(snapshot.names[person] for person in people),
        views={view: rows[keep] for view, rows in snapshot.views.items()},
        owner=owner.astype(np.intp),
        refuted=empty.refuted,
        refuted_owner=empty.refuted_owner,
    )
    return Matcher(part, calibration, chosen.prior_enrolled, "", chosen.false_alarms)


def _named(matcher: Matcher, look: Mapping[str, Vector], masked: bool, chosen: Recognition) -> str:
    """The id of who is named; "" for nobody and for no decision."""
    match: Match = matcher.match(look, masked)
    first = match.candidates[0] if match.candidates else None
    certain = first is not None and first.probability >= chosen.decide_at and first.score >= match.needed
    return first.person_id if first and certain else ""


def _outcome(named: str, person: str) -> str:
    return "right" if named == person else "wrong" if named else "none"


def _condition(found: Sequence[tuple[int, str, bool]]) -> Condition:
    genuine = [(person, outcome) for person, outcome, _ in found if outcome]
    return Condition(
        missed=_rate([(p, outcome != "right") for p, outcome in genuine], "with two pictures or more"),
        confused=_rate([(p, outcome == "wrong") for p, outcome in genuine], "with two pictures or more"),
        false_alarms=_rate([(p, alarm) for p, _, alarm in found], ""),
    )


def _rate(met: Sequence[tuple[int, bool]], whom: str) -> Rate:
    """The interval draws people anew, since pictures of one person go together."""
    people, place = np.unique([person for person, _ in met], return_inverse=True)
    if len(met) < FEWEST_PROBES or len(people) < FEWEST_PEOPLE:
        needed = (
            f"{FEWEST_PEOPLE} people {whom}".strip() + f" and {FEWEST_PROBES} pictures of theirs are needed"
        )
        return Rate(len(met), len(people), said=f"{needed}, found {len(people)} and {len(met)}")
    tried = np.bincount(place, minlength=len(people)).astype(np.float64)
    hits = np.bincount(place, [hit for _, hit in met], minlength=len(people))

    def figures(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([(weights * hits).sum() / max((weights * tried).sum(), 1e-9)])

    value, again = People(len(people)).again(figures)
    held = estimate(float(value[0]), again[:, 0], len(people))
    return Rate(len(met), len(people), held.value, held.low, held.high)
