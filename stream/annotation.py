"""What a frame's annotations say of one face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.attributes.gender import GENDERS
from stream.messages import Candidate, GenderEstimate, TrackedFace
from stream.person import Person
from stream.tracking import Track


def tracked_face(track: Track, person: Person, flag_at: float) -> TrackedFace:
    """The face as results carry it. flag_at: probability from which it counts as painted."""
    state = person.identity.state
    belief = person.mask_belief
    return TrackedFace(
        track=track.id,
        box=_floats(track.box),  # type: ignore[arg-type]
        landmarks=tuple((float(x), float(y)) for x, y in track.landmarks),
        score=track.score,
        mask=person.mask,
        mask_probability=0.0 if belief is None else float(belief.max()),
        decision=state.decision,
        person=state.person,
        probability=state.probability,
        candidates=tuple(
            Candidate(candidate.person, candidate.probability, candidate.evidence, candidate.as_seen)
            for candidate in state.candidates
        ),
        unfit=person.unfit,
        gender=_gender(person),
        synthetic=person.synthetic,
        flagged=person.synthetic is not None and person.synthetic >= flag_at,
        no_reconstruction=person.no_reconstruction if person.masked else None,
    )


def _gender(person: Person) -> GenderEstimate | None:
    belief = person.gender_belief
    return None if belief is None else GenderEstimate(GENDERS[int(belief.argmax())], float(belief.max()))


def _floats(values: NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
