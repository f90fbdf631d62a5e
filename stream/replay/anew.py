"""Recorded footage processed again in the recorded steps, and held against what came out live: frame by frame, by hash.

Inference hangs on the frames, their media times and the groups they come in, and on nothing else. So with the same
footage, gallery, engines and settings every annotation comes out the same, bit for bit; where one does not, this
says which and why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

import stream
from stream.archive.annotations import AnnotatedFrame
from stream.archive.archive import Archive
from stream.archive.footage import Run
from stream.messages import FrameResult, TrackedFace, annotation_hash
from stream.replay.playback import PlayedFrame
from stream.replay.processing import Laboratory, Progress, settings_of
from stream.replay.steps import Step, every_frame, recorded_steps

OnResult = Callable[[PlayedFrame, FrameResult], None]


@dataclass(frozen=True, slots=True)
class Difference:
    """The first frame that came out otherwise. how: what differs on it; why: what may have done it."""

    camera: str
    wall_ns: int
    media_ns: int
    step: int
    how: str
    why: tuple[str, ...]


@dataclass(slots=True)
class Outcome:
    """What came of processing a recording anew.

    processed: frames in all. compared: those that were processed live too and can be compared; same: of them, those
    with the same hash. erased: frames that somebody was erased from since. without_footage: frames processed live
    whose pictures are not there.
    """

    processed: int = 0
    compared: int = 0
    same: int = 0
    erased: int = 0
    without_footage: int = 0
    first: Difference | None = None
    notes: list[str] = field(default_factory=list)


def process_anew(
    archive: Archive,
    from_ns: int | None = None,
    to_ns: int | None = None,
    cameras: Sequence[str] = (),
    every: bool = False,
    progress: Progress = lambda name, share: None,
    on_result: OnResult = lambda frame, result: None,
) -> Outcome:
    """Process a recording again, and compare the frames of from_ns <= wall time < to_ns.

    cameras: whose frames are compared, none for all; all are processed, since they take turns at the networks. every:
    all recorded frames, each by itself, whether or not they were processed live; their annotations then differ from the
    live ones wherever live passed over frames. on_result: gets each compared frame with what was seen. Raises
    ReplayError, ArchiveError.
    """
    outcome = Outcome()
    laboratory: Laboratory | None = None
    settings = None
    comparison = _Comparison(outcome)
    for run in archive.runs():
        if (to_ns is not None and run.began_ns >= to_ns) or not _reaches(run, from_ns):
            continue
        if settings != settings_of(run) or laboratory is None:
            settings = settings_of(run)
            laboratory = Laboratory(settings, progress)
            outcome.notes += [note for note in laboratory.notes if note not in outcome.notes]
        steps = (
            every_frame(archive, run.id, archive.cameras(), from_ns, to_ns, outcome.notes)
            if every
            else recorded_steps(archive, run.id, to_ns, outcome.notes)
        )
        for step in steps:
            comparison.begin(step, run, laboratory)
            for frame, result in zip(step.frames, laboratory.process(step), strict=True):
                if (from_ns is None or frame.wall_ns >= from_ns) and (not cameras or frame.camera in cameras):
                    comparison.take(frame, result)
                    on_result(frame, result)
    return outcome


class _Comparison:
    """What came out live, held against what comes out now, step by step."""

    _run: Run
    _laboratory: Laboratory

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._epoch = self._step = 0
        self._lost = 0  # frames and steps of this process of inference that it could not be given again

    def begin(self, step: Step, run: Run, laboratory: Laboratory) -> None:
        self._run, self._laboratory = run, laboratory
        if step.epoch != self._epoch:
            self._epoch, self._step, self._lost = step.epoch, 0, 0
        self._lost += len(step.missing) + max(0, step.number - self._step - 1)
        self._step = step.number
        self._outcome.without_footage += len(step.missing)

    def take(self, frame: PlayedFrame, result: FrameResult) -> None:
        outcome, recorded = self._outcome, frame.annotation
        outcome.processed += 1
        if recorded is None:
            return
        if recorded.erased:
            outcome.erased += 1
            return
        outcome.compared += 1
        if annotation_hash(result.faces) == recorded.hash:
            outcome.same += 1
        elif outcome.first is None:
            outcome.first = Difference(
                camera=frame.camera,
                wall_ns=frame.wall_ns,
                media_ns=frame.media_ns,
                step=recorded.step,
                how=_how(recorded.faces, result.faces),
                why=tuple(self._why(frame, recorded)),
            )

    def _why(self, frame: PlayedFrame, recorded: AnnotatedFrame) -> list[str]:
        reasons = []
        if self._lost:
            reasons.append(
                f"missing footage: {self._lost} frames or steps before it are not recorded, so tracks began otherwise"
            )
        if recorded.gallery != self._laboratory.gallery:
            reasons.append(
                f"gallery: version {recorded.gallery} was matched against live, it is at version "
                f"{self._laboratory.gallery} now"
            )
        reasons += [f"engine: {line}" for line in _engines(self._run.engines, self._laboratory.engines)]
        if (frame.width, frame.height) != (recorded.width, recorded.height):
            reasons.append(
                f"picture: {recorded.width} x {recorded.height} live, {frame.width} x {frame.height} recorded"
            )
        if self._run.version != stream.__version__:
            reasons.append(f"version: recorded by {self._run.version}, processed by {stream.__version__}")
        if self._outcome.erased:
            reasons.append("erasure: somebody who was enrolled then was erased since")
        return reasons


def _reaches(run: Run, from_ns: int | None) -> bool:
    return from_ns is None or run.ended_ns is None or run.ended_ns >= from_ns


def _engines(recorded: dict[str, object], now: dict[str, object]) -> list[str]:
    """What differs between two sets of engines, a line each."""
    found = []
    for name in sorted(recorded.keys() | now.keys()):
        old, new = recorded.get(name), now.get(name)
        if old is not None and new is not None and old != new:
            found.append(f"{name} ran as {_plain(old)}, runs as {_plain(new)} now")
        elif old != new and recorded:
            found.append(f"{name} {'ran and does not now' if new is None else 'did not run'}")
    return found


def _plain(engine: object) -> str:
    values = dict(engine) if isinstance(engine, dict) else {}
    sha256 = str(values.get("model_sha256", ""))[:12]
    return f"{values.get('backend')} {values.get('precision')} on {values.get('device')} ({sha256})"


def _how(recorded: tuple[TrackedFace, ...], found: tuple[TrackedFace, ...]) -> str:
    """The first thing that differs between two annotations."""
    if len(recorded) != len(found):
        return f"{len(recorded)} faces live, {len(found)} anew"
    for old, new in zip(recorded, found, strict=True):
        for name in TrackedFace.__struct_fields__:
            before, after = getattr(old, name), getattr(new, name)
            if before != after:
                return f"track {old.track}: {name} was {_brief(before)}, is {_brief(after)}"
    return "the faces are equal, their recorded hash is not: the record was altered"


def _brief(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 120 else text[:119] + "…"
