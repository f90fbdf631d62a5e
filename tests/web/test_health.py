"""Health: of a real run with a real camera, while it does well and while a stage hangs; and what a program can read."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from offices import serious_findings
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from watched import PATIENCE_S, Watched, watched_run

from stream import log_lines
from tools.browser import Browser, until


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched_run(tmp_path_factory.mktemp("run")) as watched:
        until(lambda: watched.client.get("/readyz").status_code == 200, "a run that is ready", PATIENCE_S)
        yield watched


def metrics(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """By the sample's name: by the values of its labels, in the order of the labels' names."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(value for _, value in sorted(sample.labels.items()))] = (
                sample.value
            )
    return found


def test_metrics_tell_where_every_frame_went_and_how_long_it_took(run: Watched) -> None:
    until(
        lambda: run.client.get("/api/report").json()["cameras"]["gate"]["frames"]["shown"] > 3,
        "frames",
        2 * PATIENCE_S,
    )
    answer = run.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = metrics(answer.text)
    assert found["unvizard_up"] == {(): 1}
    skipped = sum(found.get("unvizard_frames_skipped_total", {}).values())
    flying = sum(found.get("unvizard_frames_in_flight", {}).values())
    captured, shown = (found[f"unvizard_frames_{kind}_total"][("gate",)] for kind in ("captured", "shown"))
    assert captured == shown + skipped + flying > 3
    latencies = found["unvizard_latency_seconds"]
    assert (
        0
        < latencies["gate", "0.5", "capture_to_overlay"]
        <= latencies["gate", "0.99", "capture_to_overlay"]
        < 60
    )
    assert found["unvizard_latency_seconds_count"]["gate", "capture_to_overlay"] == shown
    assert any("maskstate" in labels for labels in found["unvizard_engine"])
    assert found["unvizard_resident_memory_bytes"][("overlay",)] > 10e6
    assert found["unvizard_stage_silence_seconds"][("capture-gate",)] < 5
    assert found["unvizard_camera_running"] == {("gate",): 1}


def test_a_stage_that_hangs_makes_the_run_unready_and_names_no_camera(run: Watched) -> None:
    pid = run.supervisor.pid("capture-gate")
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: run.client.get("/readyz").status_code == 503, "the silence is noticed", 12)
        assert run.client.get("/readyz").json() == {"ready": False, "waiting_for": ["capture"]}
        assert run.client.get("/api/health").json()["waiting_for"] == ["capture-gate"]
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: run.client.get("/readyz").status_code == 200, "ready again", PATIENCE_S)


def test_the_compiled_engines_are_listed_with_what_the_gate_found(run: Watched) -> None:
    entries = run.client.get("/api/health/engines").json()
    serving = {each["model_sha256"] for each in run.client.get("/api/report").json()["engines"].values()}
    tried = {each["model_sha256"] for each in entries if each["passed"] and not each["problem"]}
    assert serving <= tried


def test_the_log_has_lines_of_every_stage_without_passwords(run: Watched) -> None:
    pid = run.supervisor.pid("overlay")
    assert pid
    with log_lines.kept(run.directory, "supervisor"):
        os.kill(pid, signal.SIGKILL)
        until(
            lambda: "overlay" in str(run.client.get("/api/health/log?level=WARNING").json()), "its death", 30
        )
    text = run.client.get("/api/health/log?lines=1000").text
    assert "overlay is started again" in text and "pa55word" not in text
    until(lambda: run.client.get("/readyz").status_code == 200, "ready again", PATIENCE_S)
    health = run.client.get("/api/health").json()
    assert "The overlay was started again during this run." in health["run"]["notes"]


def test_the_page_shows_stages_latencies_and_engines(run: Watched, browser: Browser, artefacts: Path) -> None:
    for theme, width in (("dark", 1440), ("light", 390)):
        page = browser.open(f"{run.url}health", width=width, height=900, phone=width == 390)
        page.wait_for("document.querySelectorAll('#latencies td').length > 10")
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'; true")
        page.evaluate("document.getElementById('list-engines').click()")
        page.wait_for("document.querySelectorAll('#stock tr').length > 3")
        page.wait_for("document.querySelectorAll('#log li').length > 0")
        assert page.evaluate("document.getElementById('verdict').textContent") == "Every stage speaks"
        assert "gate" in page.evaluate("document.getElementById('cameras').textContent")
        assert serious_findings(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.screenshot(artefacts / f"health-{theme}-{width}.png", whole=True)
        assert page.problems == []
        page.close()


def test_without_an_overlay_nothing_is_ready_and_metrics_say_so(
    anonymous: TestClient, client: Callable[..., TestClient]
) -> None:
    answer = anonymous.get("/readyz")
    assert answer.status_code == 503 and answer.json()["waiting_for"] == ["overlay"]
    assert anonymous.get("/healthz").status_code == 200
    assert anonymous.get("/metrics").status_code == 401
    assert metrics(client("viewer").get("/metrics").text) == {"unvizard_up": {(): 0}}
    assert client("viewer").get("/api/health").status_code == 403
    assert client("operator", ("gate",)).get("/api/health/log").status_code == 403


def test_log_lines_are_bounded_in_order_and_a_traceback_stays_with_its_line(tmp_path: Path) -> None:
    log = logging.getLogger("trial")
    log.propagate = True
    with log_lines.kept(tmp_path, "one"):
        try:
            raise ValueError("rtsp://user:s3cret@camera/1 is gone")
        except ValueError:
            log.exception("a fault")
        for number in range(6000):
            log.warning("line %d of rtsp://user:s3cret@camera/1", number)
    kept = log_lines.newest(tmp_path, 10_000)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 300 << 10
    assert kept[-1].text.endswith("line 5999 of rtsp://***@camera/1") and kept[-1].stage == "one"
    assert all("s3cret" not in line.text for line in kept)
    assert [line.moment for line in kept] == sorted(line.moment for line in kept)
    with log_lines.kept(tmp_path, "two"):
        try:
            raise ValueError("no more")
        except ValueError:
            log.exception("a fault")
    last = log_lines.newest(tmp_path, 1, "ERROR")[0]
    assert last.stage == "two" and last.text.endswith("ValueError: no more")
