import os
import subprocess
import sys

import pytest

from stream.heartbeat import Heartbeat, living_stages
from stream.memory import MemoryWatch, resident_mb, slope_per_minute


def test_every_stage_that_beats_is_measured_by_its_name(tmp_path):
    Heartbeat(tmp_path, "overlay")
    script = (
        "import sys; from pathlib import Path; from stream.heartbeat import Heartbeat;"
        "Heartbeat(Path(sys.argv[1]), 'capture-gate'); print('up', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin and child.stdout
    with child, child.stdout, child.stdin:
        child.stdout.readline()
        assert living_stages(tmp_path) == {"capture-gate": child.pid, "overlay": os.getpid()}
        watch = MemoryWatch(tmp_path)
        watch.sample(0.0)
        watch.sample(2.0)
        summary = watch.summary()
    assert set(summary) == {"capture-gate", "overlay"}
    assert 1 < summary["capture-gate"]["rss_mb"]["start"] < summary["overlay"]["rss_mb"]["end"]
    watch.sample(4.0)  # the child is gone: what was measured stays
    assert "capture-gate" in watch.summary()


def test_a_leak_shows_as_a_slope_and_warming_up_does_not():
    warming = [(float(t), 100 + 40 * min(t, 30) / 30) for t in range(0, 600, 2)]
    assert slope_per_minute(warming) == pytest.approx(0, abs=0.01)
    leaking = [(t, mb + t / 60 * 1.5) for t, mb in warming]
    assert slope_per_minute(leaking) == pytest.approx(1.5, abs=0.01)


def test_two_samples_make_no_slope():
    assert slope_per_minute([(0.0, 10.0), (2.0, 11.0)]) is None


def test_a_process_that_is_gone_has_no_memory():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert resident_mb(child.pid) is None


def test_samples_are_bounded(tmp_path):
    Heartbeat(tmp_path, "overlay")
    watch = MemoryWatch(tmp_path)
    for second in range(2000):
        watch.sample(float(second))
    assert len(watch._records["overlay"].samples) <= 600
    assert watch._records["overlay"].samples[0][0] == 0.0
