"""How long things take: quantiles of any number of durations, in a few kilobytes.

A histogram has buckets that grow by 3 %, so that the middle of a bucket (its geometric mean) is within 1.5 % of
every value in it; the idea is that of HdrHistogram. The largest value is kept as it is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

import msgspec
import numpy as np

from stream.messages import FrameResult

LOWEST_MS, _HIGHEST_MS, _GROWTH = 1e-3, 1e6, 1.03
_LOG_GROWTH = math.log(_GROWTH)
_BUCKETS = int(math.log(_HIGHEST_MS / LOWEST_MS) / _LOG_GROWTH) + 2
_MINUTE_NS = 60_000_000_000
_MINUTES_KEPT = 24 * 60

CAPTURE_TO_OVERLAY = "capture_to_overlay"


class Histogram:
    """Durations in milliseconds; those under a microsecond count as one."""

    __slots__ = ("_counts", "count", "largest_ms")

    def __init__(self) -> None:
        self._counts = np.zeros(_BUCKETS, np.int64)
        self.count = 0
        self.largest_ms = 0.0

    def add(self, ms: float) -> None:
        """Take in one duration."""
        bucket = 0 if ms <= LOWEST_MS else min(int(math.log(ms / LOWEST_MS) / _LOG_GROWTH) + 1, _BUCKETS - 1)
        self._counts[bucket] += 1
        self.count += 1
        self.largest_ms = max(self.largest_ms, ms)

    def merge(self, other: Histogram) -> None:
        """Take in all durations of another."""
        self._counts += other._counts
        self.count += other.count
        self.largest_ms = max(self.largest_ms, other.largest_ms)

    def quantiles(self, *shares: float) -> list[float]:
        """For each share, the smallest duration that this share of all is not above; 0 while there is none."""
        if not self.count:
            return [0.0] * len(shares)
        reached = np.cumsum(self._counts)
        ranks = [max(1, math.ceil(share * self.count)) for share in shares]
        buckets = np.searchsorted(reached, ranks)
        middles = [LOWEST_MS * _GROWTH ** (int(bucket) - 0.5) if bucket else LOWEST_MS for bucket in buckets]
        return [min(middle, self.largest_ms) for middle in middles]

    def summary(self) -> dict[str, float]:
        """What the report says of it, in milliseconds."""
        p50, p95, p99 = self.quantiles(0.5, 0.95, 0.99)
        values = {"p50": p50, "p95": p95, "p99": p99, "max": self.largest_ms}
        return {**{name: round(value, 3) for name, value in values.items()}, "count": self.count}

    def dump(self) -> HistogramDump:
        """Its content, for a file."""
        filled = np.flatnonzero(self._counts)
        return HistogramDump({int(i): int(self._counts[i]) for i in filled}, round(self.largest_ms, 6))

    @classmethod
    def load(cls, dump: HistogramDump) -> Histogram:
        """The histogram of a dump."""
        made = cls()
        for bucket, count in dump.counts.items():
            made._counts[bucket] = count
        made.count, made.largest_ms = int(made._counts.sum()), dump.largest_ms
        return made


class HistogramDump(msgspec.Struct, frozen=True):
    """A histogram's filled buckets."""

    counts: dict[int, int]
    largest_ms: float


class Minute(msgspec.Struct, frozen=True):
    """The latency from capture to overlay in one minute of the run, in milliseconds."""

    minute: int
    shown: int
    p50: float
    p99: float


class LatenciesDump(msgspec.Struct, frozen=True):
    """What outlives the overlay's process."""

    stages: dict[str, HistogramDump]
    minutes: list[Minute]


class Latencies:
    """One camera's durations by stage: since the start, of the last seconds, and minute by minute.

    began_ns: monotonic start of the run, from which minutes are counted.
    """

    def __init__(self, began_ns: int, recent_s: float = 10.0) -> None:
        self._began_ns = began_ns
        self._recent_ns = int(recent_s * 1e9 / 2)
        self._stages: dict[str, Histogram] = {}
        self._recent: tuple[dict[str, Histogram], dict[str, Histogram]] = ({}, {})
        self._recent_since_ns = (began_ns, began_ns)
        self._minutes: deque[Minute] = deque(maxlen=_MINUTES_KEPT)
        self._minute, self._this_minute = 0, Histogram()

    def add(self, durations_ms: Mapping[str, float], now_ns: int) -> None:
        """Take in what one shown frame took, by stage."""
        self._turn(now_ns)
        for stage, ms in durations_ms.items():
            self._stages.setdefault(stage, Histogram()).add(ms)
            self._recent[1].setdefault(stage, Histogram()).add(ms)
        minute = (now_ns - self._began_ns) // _MINUTE_NS
        if minute != self._minute:
            self._end_minute()
            self._minute = minute
        self._this_minute.add(durations_ms[CAPTURE_TO_OVERLAY])

    def summaries(self) -> dict[str, dict[str, float]]:
        """By stage, since the start."""
        return {stage: histogram.summary() for stage, histogram in self._stages.items()}

    def recent(self, now_ns: int) -> dict[str, dict[str, float]]:
        """By stage, of the last five to ten seconds."""
        self._turn(now_ns)
        both: dict[str, Histogram] = {}
        for half in self._recent:
            for stage, histogram in half.items():
                both.setdefault(stage, Histogram()).merge(histogram)
        return {stage: histogram.summary() for stage, histogram in both.items()}

    def rate(self, now_ns: int) -> float:
        """Frames shown a second, over the last five to ten seconds."""
        self._turn(now_ns)
        shown = sum(half[CAPTURE_TO_OVERLAY].count for half in self._recent if half)
        return round(shown / max((now_ns - self._recent_since_ns[0]) / 1e9, 0.5), 1)

    def minutes(self) -> list[Minute]:
        """Minute by minute, the one that goes on included."""
        return [*self._minutes, *([self._closed_minute()] if self._this_minute.count else [])]

    def slope_p99_ms_per_minute(self) -> float | None:
        """The trend of the minutes' p99, by least squares over whole minutes after the first; None under three."""
        whole = list(self._minutes)[1:]
        if len(whole) < 3:
            return None
        slope = np.polyfit([m.minute for m in whole], [m.p99 for m in whole], 1)[0]
        return round(float(slope), 4)

    def dump(self) -> LatenciesDump:
        """Its content, for a file; the last seconds are left out."""
        return LatenciesDump({name: h.dump() for name, h in self._stages.items()}, self.minutes())

    def load(self, dump: LatenciesDump) -> None:
        """Go on with the content of a dump."""
        self._stages = {name: Histogram.load(h) for name, h in dump.stages.items()}
        self._minutes = deque(dump.minutes, maxlen=_MINUTES_KEPT)

    def _turn(self, now_ns: int) -> None:
        """Forget the older half of the last seconds when its time has come."""
        age = now_ns - self._recent_since_ns[1]
        if age >= 2 * self._recent_ns:
            self._recent, self._recent_since_ns = ({}, {}), (now_ns, now_ns)
        elif age >= self._recent_ns:
            self._recent = (self._recent[1], {})
            self._recent_since_ns = (self._recent_since_ns[1], now_ns)

    def _end_minute(self) -> None:
        if self._this_minute.count:
            self._minutes.append(self._closed_minute())
        self._this_minute = Histogram()

    def _closed_minute(self) -> Minute:
        p50, p99 = self._this_minute.quantiles(0.5, 0.99)
        return Minute(self._minute, self._this_minute.count, round(p50, 3), round(p99, 3))


def durations_ms(result: FrameResult, arrived_ns: int, published_ns: int) -> dict[str, float]:
    """What each stage took for one frame, in the order in which it went through them.

    "decode" is from the last packet's arrival to the frame in the ring, and stands before `capture_to_overlay`,
    which is the sum of the rest: the steps of inference by the names of their stamps ("wait" first), "bus" (to
    the overlay) and "draw" (drawn, encoded for those who watch, handed on).
    """
    frame = result.frame
    marks = {**result.stamps_ns, "bus": arrived_ns, "draw": published_ns}
    spent = {"decode": (frame.captured_ns - frame.received_ns) / 1e6}
    before = frame.captured_ns
    for stage, at in marks.items():
        spent[stage] = max(0, at - before) / 1e6
        before = at
    spent[CAPTURE_TO_OVERLAY] = (published_ns - frame.captured_ns) / 1e6
    return spent
