"""The overlay's report in Prometheus' text format: what a monitoring system reads every few seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from stream.ledger import IN_FLIGHT, IN_FLIGHT_AT_STOP

Report = Mapping[str, Any]

_QUANTILES = {"0.5": "p50", "0.95": "p95", "0.99": "p99"}
_NOT_LOST = (IN_FLIGHT, IN_FLIGHT_AT_STOP)


def exposition(report: Report | None, silences_s: Mapping[str, float]) -> bytes:
    """The metrics as text. report: the overlay's, None while it is silent; silences_s: since each stage's last beat."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once([*_stages(silences_s), *(_run(report) if report else ())], report is not None))
    return generate_latest(registry)


class _Once(Collector):
    def __init__(self, metrics: Iterable[Metric], up: bool) -> None:
        self._metrics, self._up = metrics, up

    def collect(self) -> Iterator[Metric]:
        yield _gauge("up", "1 while the overlay answers.", [((), float(self._up))])
        yield from self._metrics


def _run(report: Report) -> Iterator[Metric]:
    yield InfoMetricFamily("unvizard_build", "The version that runs.", {"version": report["version"]})
    yield _gauge("people_enrolled", "People in the gallery.", [((), report["people_enrolled"])])
    yield _counter(
        "messages_rejected",
        "Messages between stages that were not understood.",
        [((), report["messages_rejected"])],
    )
    engines = sorted(report["engines"].items())
    named = ("network", "backend", "precision", "device")
    yield _gauge(
        "engine",
        "1 for the engine that serves a network.",
        [((name, *(each[key] for key in named[1:])), 1) for name, each in engines],
        named,
    )
    yield _gauge(
        "resident_memory_bytes",
        "Resident memory of a stage; frame rings count for everybody who touches them.",
        [((stage,), each["rss_mb"]["end"] * 2**20) for stage, each in report["processes"].items()],
        ("stage",),
    )
    restarts = list(report["restarts"].items())
    yield _counter(
        "stage_restarts",
        "How often a stage had to be started again.",
        [((n,), c) for n, c in restarts],
        ("stage",),
    )
    yield from _cameras(report["cameras"])


def _cameras(cameras: Mapping[str, Any]) -> Iterator[Metric]:
    camera = ("camera",)
    each = list(cameras.items())
    running = [((name,), float(c["state"] == "running")) for name, c in each]
    yield _gauge("camera_running", "1 while a camera sends pictures.", running, camera)
    for kind, said in (
        ("reconnections", "Times a camera was connected to again."),
        ("corrupt", "Pictures that could not be decoded."),
    ):
        yield _counter(f"camera_{kind}", said, [((name,), c.get(kind, 0)) for name, c in each], camera)
    for kind, said in (
        ("captured", "Frames that were captured."),
        ("processed", "Frames that inference has looked at."),
        ("shown", "Frames that were drawn and handed on."),
    ):
        yield _counter(f"frames_{kind}", said, [((name,), c["frames"][kind]) for name, c in each], camera)
    skipped = [(name, reason, count) for name, c in each for reason, count in c["frames"]["skipped"].items()]
    lost = [((name, reason), count) for name, reason, count in skipped if reason not in _NOT_LOST]
    flying = [((name,), count) for name, reason, count in skipped if reason in _NOT_LOST]
    yield _counter("frames_skipped", "Frames that were captured and not shown.", lost, ("camera", "reason"))
    yield _gauge("frames_in_flight", "Frames that are on their way.", flying, camera)
    faces = [
        ((name, kind), c["faces"][kind]) for name, c in each for kind in ("person", "nobody", "undecided")
    ]
    yield _counter(
        "sightings", "Faces seen, by what was decided of them last.", faces, ("camera", "decision")
    )
    masked = [((name,), c["faces"]["masked"]) for name, c in each]
    yield _counter("sightings_masked", "Faces seen with a mask.", masked, camera)
    yield _latencies(each)
    kept = [(name, c["recording"]) for name, c in each if c["recording"]]
    yield _counter(
        "recorded_bytes", "Footage that was kept.", [((name,), r["bytes"]) for name, r in kept], camera
    )
    dropped = [((name, reason), count) for name, r in kept for reason, count in r["dropped"].items()]
    yield _counter("recording_dropped", "Packets that were not kept.", dropped, ("camera", "reason"))


def _latencies(each: Iterable[tuple[str, Any]]) -> Metric:
    """A summary by camera and stage, since the start of the run. There is no sum: the overlay keeps a histogram."""
    metric = Metric("unvizard_latency_seconds", "What a stage takes for a frame, since the start.", "summary")
    for name, camera in each:
        for stage, summary in camera["latency_ms"].items():
            labels = {"camera": name, "stage": stage}
            for quantile, key in _QUANTILES.items():
                metric.add_sample(metric.name, {**labels, "quantile": quantile}, summary[key] / 1e3)
            metric.add_sample(f"{metric.name}_count", labels, summary["count"])
    return metric


def _stages(silences_s: Mapping[str, float]) -> Iterator[Metric]:
    silences = [((stage,), silence) for stage, silence in silences_s.items()]
    yield _gauge("stage_silence_seconds", "Time since a stage's last sign of life.", silences, ("stage",))


_Samples = Iterable[tuple[tuple[str, ...], float]]


def _gauge(name: str, said: str, samples: _Samples, labels: tuple[str, ...] = ()) -> Metric:
    metric = GaugeMetricFamily(f"unvizard_{name}", said, labels=labels)
    for values, value in samples:
        metric.add_metric(values, value)
    return metric


def _counter(name: str, said: str, samples: _Samples, labels: tuple[str, ...] = ()) -> Metric:
    metric = CounterMetricFamily(f"unvizard_{name}", said, labels=labels)
    for values, value in samples:
        metric.add_metric(values, value)
    return metric
