"""The report of a run: what happened to frames, how long it took, who was seen, on which engines. Kept stable.

    cameras.<name>.frames.{captured, processed, shown, skipped.<reason>}
    cameras.<name>.latency_ms.<stage or capture_to_overlay>.{p50, p95, p99, max, count}
    cameras.<name>.sightings[] {person, probability, masked, first_seen, last_seen, track, decision, mask}
    cameras.<name>.state "removed" for a camera that was taken out while the run went on; it stays in the report
    cameras.<name>.recording {mode, state, detail, segments, frames, bytes, dropped.<reason>, newest} or null
    engines.<network> {backend, precision, model_sha256, device}
    version

and, beside these, the run itself, each camera's state and source, the latency minute by minute, counts of faces,
notes (fall-backs), stages that had to be started again, and each process's memory.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

import stream
from stream.latency import Latencies, LatenciesDump, durations_ms
from stream.ledger import Ledger, write_whole
from stream.messages import (
    CameraRecording,
    CameraStatus,
    EngineInfo,
    FrameResult,
    InferenceStatus,
    RecorderStatus,
    StageStatus,
)
from stream.moments import iso
from stream.recording.tally import Recordings
from stream.sightings import Sighting, Sightings, SightingsDump

log = logging.getLogger(__name__)

_LEDGER_FILE, _STATISTICS_FILE = "frames.ledger", "statistics.json"


class _Dump(msgspec.Struct, frozen=True):
    """What outlives the overlay's process, beside the ledger. Saved now and then, so that a kill loses little."""

    began_wall_ns: int
    began_ns: int
    latencies: dict[str, LatenciesDump]
    sightings: dict[str, SightingsDump]
    engines: dict[str, EngineInfo]
    restarts: dict[str, int]
    notes: list[str]


class Report:
    """All that a run will be able to say of itself. One thread uses it."""

    def __init__(self, cameras: tuple[str, ...], directory: Path, delivery: str) -> None:
        self.ledger = Ledger(directory / _LEDGER_FILE)
        self._statistics = directory / _STATISTICS_FILE
        self._delivery = delivery
        self.began_wall_ns, self._began_ns = time.time_ns(), time.monotonic_ns()
        self.latencies: dict[str, Latencies] = {}
        self.sightings: dict[str, Sightings] = {}
        self._there: frozenset[str] = frozenset()
        self.status: dict[str, CameraStatus] = {}
        self.engines: dict[str, EngineInfo] = {}
        self.restarts: dict[str, int] = {}
        self.people = 0
        self.load = 0.0
        self.messages_rejected = 0
        self._inference_notes: tuple[str, ...] = ()
        self._recordings = Recordings()
        self._own_notes: list[str] = []
        self.follow(cameras)
        if self.ledger.resumed:
            self._resume()

    @property
    def notes(self) -> list[str]:
        """What people should know of this run: which engines fell back, what was lost."""
        return [*self._inference_notes, *self._recordings.notes, *self._own_notes]

    def note(self, sentence: str) -> None:
        """Add a note, once."""
        if sentence not in self._own_notes:
            self._own_notes.append(sentence)

    def follow(self, cameras: Collection[str]) -> None:
        """These are the cameras from now on; what is known of those before stays."""
        self._there = frozenset(cameras)
        for name in cameras:
            self._known(name)
        for name in self.sightings.keys() - self._there:
            self.sightings[name].end_all()

    def knows(self, camera: str) -> bool:
        """Whether there is, or was in this run, a camera of that name."""
        return camera in self.latencies

    def camera(self, status: CameraStatus) -> None:
        """Take in how a camera does."""
        self.status[status.camera] = status
        self.ledger.captured(status.camera, status.captured)

    def inference(self, status: InferenceStatus) -> None:
        """Take in how inference does."""
        self.engines, self._inference_notes = dict(status.engines), status.notes
        self.people, self.load = status.gallery_people, status.load

    def recorder(self, status: RecorderStatus) -> None:
        """Take in how recording does."""
        self._recordings.see(status)

    def recording(self, camera: str) -> dict[str, Any] | None:
        """How the recording of a camera does, ready for JSON; None without a recorder."""
        found = self._recordings.camera(camera)
        return None if found is None else _recording(found)

    def stage(self, status: StageStatus) -> None:
        """Take in that a stage was started again."""
        self.restarts[status.stage] = status.restarts
        if status.stage == "recorder":
            self._recordings.started_again()
        if status.stage == "inference":
            for sightings in self.sightings.values():
                sightings.end_all()

    def shown(self, result: FrameResult, arrived_ns: int, published_ns: int) -> None:
        """Take in a frame that was drawn and handed on."""
        camera = result.frame.camera
        if self.ledger.settle(camera, result.frame.sequence, result.skipped):
            spent = durations_ms(result, arrived_ns, published_ns)
            self.latencies[camera].add(spent, published_ns)
            self.sightings[camera].see(result)

    def skipped(self, result: FrameResult, reason: str) -> None:
        """Take in a frame that was annotated but not shown; its faces were seen all the same."""
        camera = result.frame.camera
        if self.ledger.settle(camera, result.frame.sequence, result.skipped, reason):
            self.sightings[camera].see(result)

    def build(self, processes: Mapping[str, object], final: bool) -> dict[str, Any]:
        """The report as plain values, ready for JSON. final: no frame will come any more."""
        return {
            "version": stream.__version__,
            "started": iso(self.began_wall_ns),
            "ended" if final else "now": iso(time.time_ns()),
            "seconds": round((time.monotonic_ns() - self._began_ns) / 1e9, 3),
            "delivery": self._delivery,
            "cameras": {name: self._camera(name, final) for name in self.latencies},
            "engines": {name: msgspec.to_builtins(engine) for name, engine in sorted(self.engines.items())},
            "people_enrolled": self.people,
            "notes": self.notes,
            "restarts": dict(sorted(self.restarts.items())),
            "messages_rejected": self.messages_rejected,
            "processes": dict(processes),
        }

    def save_statistics(self) -> None:
        """Save what is not in the ledger, for the case that this process is killed."""
        dump = _Dump(
            began_wall_ns=self.began_wall_ns,
            began_ns=self._began_ns,
            latencies={name: latencies.dump() for name, latencies in self.latencies.items()},
            sightings={name: sightings.dump() for name, sightings in self.sightings.items()},
            engines=self.engines,
            restarts=self.restarts,
            notes=self._own_notes,
        )
        write_whole(self._statistics, msgspec.json.encode(dump))

    def _resume(self) -> None:
        try:
            dump = msgspec.json.decode(self._statistics.read_bytes(), type=_Dump)
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("latencies and sightings of the time before are lost: %s", error)
            return
        self.began_wall_ns, self._began_ns = dump.began_wall_ns, dump.began_ns
        self.engines, self.restarts, self._own_notes = dump.engines, dump.restarts, dump.notes
        for name in [*self.latencies, *dump.latencies]:
            self._known(name)
            self.latencies[name] = Latencies(dump.began_ns)
            if name in dump.latencies:
                self.latencies[name].load(dump.latencies[name])
                self.sightings[name].load(dump.sightings[name])

    def _known(self, name: str) -> None:
        if name not in self.latencies:
            self.latencies[name], self.sightings[name] = Latencies(self._began_ns), Sightings()

    def _camera(self, name: str, final: bool) -> dict[str, Any]:
        latencies, sightings, status = self.latencies[name], self.sightings[name], self.status.get(name)
        return {
            **(_state(status) if status else {"state": "connecting"}),
            **({} if name in self._there else {"state": "removed"}),
            "frames": self.ledger.account(name).frames(final),
            "latency_ms": latencies.summaries(),
            "latency_trend": {
                "p99_slope_ms_per_minute": latencies.slope_p99_ms_per_minute(),
                "minutes": msgspec.to_builtins(latencies.minutes()),
            },
            "faces": sightings.counts(),
            "sightings": [_sighting(sighting) for sighting in sightings.all()],
            "sightings_left_out": sightings.left_out,
            "recording": self.recording(name),
        }


def write(report: Mapping[str, Any], path: Path) -> None:
    """Write the report as JSON for people and programs. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, path)


def _state(status: CameraStatus) -> dict[str, Any]:
    shown = ("source", "codec", "decoder", "reader", "width", "height", "fps", "corrupt", "reconnections")
    return {
        "state": status.state.value,
        "since": iso(status.since_wall_ns),
        "detail": status.detail,
        **{name: getattr(status, name) for name in shown},
    }


def _recording(recording: CameraRecording) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(recording)
    newest_ns = plain.pop("newest_wall_ns")
    return {**plain, "newest": iso(newest_ns) if newest_ns else None}


def _sighting(sighting: Sighting) -> dict[str, Any]:
    doubted = sighting.synthetic is not None
    return {
        "person": sighting.person,
        "probability": None if sighting.probability is None else round(sighting.probability, 4),
        "masked": sighting.masked,
        "first_seen": iso(sighting.first_wall_ns),
        "last_seen": iso(sighting.last_wall_ns),
        "track": sighting.track,
        "decision": sighting.decision,
        "mask": None if sighting.mask is None else sighting.mask.value,
        **(
            {"synthetic": round(sighting.synthetic or 0.0, 4), "looks_synthetic": sighting.flagged}
            if doubted
            else {}
        ),
        **({"no_reconstruction": sighting.no_reconstruction} if sighting.no_reconstruction else {}),
    }
