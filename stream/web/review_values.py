"""Sightings as the review page shows them: plain values, and what they mean in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from engines.recognition.calibration import COMPLETED, MASKED, MODELS, Calibration, CalibrationError
from engines.unmasking.mark import CAPTION
from stream.archive.footage import Run
from stream.archive.sightings import Sighting
from stream.archive.verdicts import Standing, Verdict, standing
from stream.evidence.case import recognition_of
from stream.evidence.certainty import KINDS, percent
from stream.evidence.likelihood import in_words, likelihood_ratio, rounded
from stream.web.footage import MS

_WHO = {"nobody": "Nobody enrolled", "undecided": "No decision"}
_MASKS = {
    None: "mask not judged",
    "none": "no mask",
    "worn": "mask worn",
    "worn_wrongly": "mask worn wrongly",
}
_STATES = {
    "open": "nobody has confirmed or refused this name",
    "waiting": "one person has confirmed this name; another has to",
    "confirmed": "this name is confirmed",
    "refused": "this name was refused",
    "disputed": "people disagree about this name",
}


def clock(wall_ns: int, form: str = "%H:%M:%S") -> str:
    """A moment by the clocks of this machine."""
    return datetime.fromtimestamp(wall_ns / 1e9).astimezone().strftime(form)


def listed(
    sighting: Sighting, verdicts: Sequence[Verdict], pictures: Sequence[str], needed: int
) -> dict[str, Any]:
    """One of a list. needed: how many people have to confirm a name."""
    return {
        "id": sighting.id,
        "camera": sighting.camera,
        "day": clock(sighting.first_ns, "%Y-%m-%d"),
        "time": clock(sighting.first_ns),
        "until": clock(sighting.last_ns),
        "first_ms": sighting.first_ns // MS,
        "last_ms": -(-sighting.last_ns // MS),
        "seconds": round((sighting.last_ns - sighting.first_ns) / 1e9, 1),
        "decision": sighting.decision,
        "person": sighting.person,
        "who": sighting.person or _WHO.get(sighting.decision, "No decision"),
        "percent": "" if sighting.probability is None else percent(sighting.probability),
        "mask": _MASKS[sighting.mask],
        "masked": sighting.masked,
        "protected": sighting.protected,
        "pictures": list(pictures),
        "confirmation": standing(verdicts, needed).state if sighting.person else None,
    }


def whole(
    sighting: Sighting,
    run: Run | None,
    verdicts: Sequence[Verdict],
    needed: int,
    account: str,
    calibration: Path,
) -> dict[str, Any]:
    """Everything about one. account: who looks. calibration: the file that is in use now."""
    pictures = [kind for kind in ("look", "original", "reconstruction") if getattr(sighting, kind)]
    return {
        **listed(sighting, verdicts, pictures, needed),
        "candidates": _candidates(sighting),
        "terms": _terms(sighting, calibration),
        "rest": percent(max(0.0, 1 - sum(each.probability for each in sighting.candidates))),
        "counted": any(each.as_seen is not None for each in sighting.candidates),
        "caption": CAPTION,
        "looks": sighting.looks,
        "no_reconstruction": sighting.no_reconstruction,
        "track": sighting.track,
        "epoch": str(sighting.epoch),  # more digits than JavaScript's numbers have
        "weight": _weight(sighting, run),
        "searchable": bool(sighting.embedding),
        "standing": _standing(standing(verdicts, needed), account),
        "versions": _versions(sighting, run),
    }


def _candidates(sighting: Sighting) -> list[dict[str, Any]]:
    """before: the reconstruction was looked at; after: it could lower the probability, and never raise it."""
    return [
        {
            "person": each.person,
            "before": percent(each.probability if each.as_seen is None else each.as_seen),
            "after": percent(each.probability),
            "probability": each.probability,
            "evidence": {term: round(value, 3) for term, value in each.evidence.items()},
        }
        for each in sighting.candidates
    ]


def _terms(sighting: Sighting, calibration: Path) -> list[dict[str, Any]]:
    """Each piece of evidence: its name, whether it is of the reconstruction, and its weight, where that is known."""
    found = {term for each in sighting.candidates for term in each.evidence}
    weights = _weights(sighting, calibration)
    return [
        {
            "name": term,
            "label": KINDS.get(term, term),
            "guess": term == "unmasked",
            "weight": weights.get(term),
        }
        for term in [*(term for term in KINDS if term in found), *sorted(found - KINDS.keys())]
    ]


def _weights(sighting: Sighting, file: Path) -> Mapping[str, float]:
    """By term, as the calibration has them that this was decided with; nothing when that is no longer at hand."""
    if not sighting.masked:
        return {}
    try:
        calibration = Calibration.load(file)
    except CalibrationError:
        return {}
    if calibration.sha256 != sighting.versions.get("calibration"):
        return {}
    counted = any(each.as_seen is not None for each in sighting.candidates)
    name = COMPLETED if counted and COMPLETED in calibration.models else MASKED
    shares = calibration.models[name].shares
    return {term: round(share, 3) for term, share in zip(MODELS[name], shares, strict=True)}


def _weight(sighting: Sighting, run: Run | None) -> str:
    """The strength of the evidence by itself, in words; empty where it cannot be told."""
    known = recognition_of(sighting, run)
    if not sighting.candidates or known.prior is None or not known.people:
        return ""
    person = sighting.person or sighting.candidates[0].person
    ratio = likelihood_ratio(sighting.candidates, person, known.prior, known.people)
    if ratio is None:
        return ""
    return (
        f"This look is about {rounded(ratio)} times as likely if it is {person} as if it is somebody who is not"
        f" enrolled: {in_words(ratio)}. Before anybody looked, {percent(known.prior)} of all faces were taken to be of"
        " people enrolled."
    )


def _standing(found: Standing, account: str) -> dict[str, Any]:
    own = next((verdict.said for verdict in found.verdicts if verdict.account == account), None)
    return {
        "state": found.state,
        "sentence": _STATES[found.state],
        "needed": found.needed,
        "own": own,
        "verdicts": [
            {
                "account": verdict.account,
                "said": verdict.said,
                "note": verdict.note,
                "when": clock(verdict.at_ns, "%Y-%m-%d %H:%M:%S"),
            }
            for verdict in found.verdicts
        ],
    }


def _versions(sighting: Sighting, run: Run | None) -> list[tuple[str, str]]:
    versions = sighting.versions
    rows = [
        ("Recorded with", f"Unvizard {run.version}, run {run.id}" if run else ""),
        ("Gallery, version", str(versions.get("gallery") or "")),
        ("People enrolled then", str(versions.get("gallery_people") or "")),
        ("Unmasking network, sha256", str(versions.get("generator") or "")),
        ("Calibration, sha256", str(versions.get("calibration") or "")),
        ("Track", f"{sighting.track} of inference process {sighting.epoch}"),
    ]
    return [(name, value) for name, value in rows if value]
