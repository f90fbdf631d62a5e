"""How much memory each stage uses, and whether it grows.

Resident memory counts the frame rings in, for every process that touches them: they fill once, in the first
second. The slope is taken after a minute of warming up, when there has been one.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stream.heartbeat import living_stages

_EVERY_S = 2.0
_WARM_S = 60.0
_MOST_SAMPLES = 600  # when there are more, every other one is dropped


@dataclass(slots=True)
class _Record:
    pid: int
    restarts: int = 0
    samples: list[tuple[float, float]] = field(default_factory=list)  # seconds since the start, MB


class MemoryWatch:
    """Samples the resident memory of every stage that beats in a run directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._records: dict[str, _Record] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._began_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    def start(self) -> None:
        """Sample in a thread of its own until `close`."""
        self._thread.start()

    def close(self) -> None:
        """Stop sampling."""
        self._stop.set()
        if self._thread.ident:
            self._thread.join()

    def sample(self, now_s: float) -> None:
        """Look once; now_s: seconds since the start."""
        for stage, pid in living_stages(self._directory).items():
            megabytes = resident_mb(pid)
            if megabytes is None:
                continue
            with self._lock:
                record = self._records.setdefault(stage, _Record(pid))
                if record.pid != pid:
                    record.pid, record.samples = pid, []
                    record.restarts += 1
                record.samples.append((now_s, megabytes))
                if len(record.samples) > _MOST_SAMPLES:
                    record.samples = record.samples[::2]

    def summary(self) -> dict[str, dict[str, object]]:
        """By stage: resident megabytes at the start and the end, and the slope in between (None if too short)."""
        with self._lock:
            return {
                stage: {
                    "rss_mb": {
                        "start": round(record.samples[0][1], 1),
                        "end": round(record.samples[-1][1], 1),
                        "slope_per_minute": slope_per_minute(record.samples),
                    },
                    "restarts": record.restarts,
                }
                for stage, record in sorted(self._records.items())
                if record.samples
            }

    def _run(self) -> None:
        while True:
            self.sample(time.monotonic() - self._began_s)
            if self._stop.wait(_EVERY_S):
                return


def slope_per_minute(samples: list[tuple[float, float]]) -> float | None:
    """The least-squares slope of (seconds, value) in units a minute, without the first minute if more follows."""
    first = samples[0][0]
    warm = [sample for sample in samples if sample[0] - first >= _WARM_S]
    used = warm if len(warm) >= 5 else samples
    if len(used) < 3:
        return None
    seconds, values = np.array(used).T
    return round(float(np.polyfit(seconds / 60, values, 1)[0]), 3)


def resident_mb(pid: int) -> float | None:
    """Resident memory of a process in MiB, or None when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return None
