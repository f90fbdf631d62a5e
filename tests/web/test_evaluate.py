"""Evaluating on one's own faces: figures that count what happened, and say so where there is too little to count."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from offices import RunningServer, serious_findings
from starlette.testclient import TestClient

from engines.recognition.calibration import Calibration
from engines.recognition.embedder import unit
from engines.recognition.enrolled import GallerySnapshot
from engines.recognition.evidence import RAW, VIEWS
from stream.config import Recognition, Settings
from stream.own_faces import OwnFaces, measure
from stream.web.evaluate_report import report, verdict
from stream.web.office import Office
from tools.browser import Browser, until
from tools.demo.enrolled import enrol

PEOPLE, EACH = 30, 3
DIMENSIONS = 128


class Looking:
    """Stands in for the networks: a face's vector is what its upper left corner says. Masks do not reach there."""

    def looks(self, faces: Any) -> list[dict[str, NDArray[np.float32]]]:
        vectors = [
            unit(face.crop[:4, :, 0].reshape(-1)[:DIMENSIONS].astype(np.float32) - 128) for face in faces
        ]
        return [{RAW: vector} for vector in vectors]


def gallery(noise: float, people: int = PEOPLE, each: int = EACH) -> tuple[GallerySnapshot, list[Any]]:
    """People whose pictures differ by noise; a crop for each."""
    rng = np.random.default_rng(3)
    crops, vectors = [], []
    for person in rng.normal(0, 1, (people, DIMENSIONS)):
        for _ in range(each):
            values = np.clip(128 + 30 * (person + noise * rng.normal(0, 1, DIMENSIONS)), 0, 255).astype(
                np.uint8
            )
            crop = np.full((112, 112, 3), 128, np.uint8)
            crop[:4].reshape(-1, 3)[:DIMENSIONS] = values[:, None]
            crops.append(crop)
            vectors.append(unit(values.astype(np.float32) - 128))
    table = np.stack(vectors).astype(np.float32)
    names = tuple(f"p{n}" for n in range(people))
    owner = np.repeat(np.arange(people), each).astype(np.intp)
    space = Calibration.load().space
    return GallerySnapshot(1, space, names, names, dict.fromkeys(VIEWS, table), owner), crops


def measured(snapshot: GallerySnapshot, crops: list[Any], **chosen: Any) -> OwnFaces:
    told: list[float] = []
    found = measure(snapshot, crops, Looking(), Calibration.load(), Recognition(**chosen), told.append)  # type: ignore[arg-type]
    assert told == sorted(told) and told[-1] == 1.0
    return found


def test_people_who_look_like_themselves_are_found_and_strangers_are_not() -> None:
    found = measured(*gallery(noise=0.2))
    assert (found.people, found.pictures, found.skipped) == (PEOPLE, PEOPLE * EACH, 0)
    assert found.bare.missed.value == 0 and found.bare.missed.probes == PEOPLE * EACH
    assert found.bare.missed.high == pytest.approx(3 / PEOPLE), "none of 30 people is not none of all"
    assert found.bare.false_alarms.value == 0 and found.bare.confused.value == 0


def test_people_who_do_not_are_missed_and_two_entries_of_one_person_are_false_alarms() -> None:
    assert measured(*gallery(noise=4)).bare.missed.value == pytest.approx(1, abs=0.1)
    snapshot, crops = gallery(noise=0.1, people=PEOPLE, each=2)
    # The last ten people are the first ten once more, under other names.
    table = snapshot.matrix.copy()
    table[-20:], crops[-20:] = table[:20], crops[:20]
    twins = GallerySnapshot(
        1, snapshot.space, snapshot.ids, snapshot.names, dict.fromkeys(VIEWS, table), snapshot.owner
    )
    rate = measured(twins, crops).bare.false_alarms
    assert rate.value == pytest.approx(20 / PEOPLE, abs=0.01)
    assert rate.low is not None and rate.high is not None and rate.low < 20 / PEOPLE < rate.high


def test_too_little_data_gives_no_figure_and_says_what_is_missing() -> None:
    found = measured(*gallery(noise=0.2, people=8, each=2))
    assert found.bare.missed.value is None
    assert found.bare.missed.said == (
        "10 people with two pictures or more and 30 pictures of theirs are needed, found 8 and 16"
    )
    single = measured(*gallery(noise=0.2, people=40, each=1))
    assert single.bare.missed.value is None and single.bare.false_alarms.value == 0
    snapshot, crops = gallery(noise=0.2)
    assert measured(snapshot, [None, *crops[1:]]).skipped == 1


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.0, 0.05, "cannot be told from 60 people; about 3,000 would be needed"),
        (0.01, 0.1, "more than wanted"),
    ],
)
def test_whether_the_wanted_rate_is_kept_is_said_only_where_it_can_be_told(
    low: float, high: float, said: str
) -> None:
    assert verdict({"value": low, "low": low, "high": high, "people": 60}, 0.001) == said


def result(strangers: float | None = 200.0, likeness: float = 0.6) -> dict[str, Any]:
    rate = {"probes": 120, "people": 60, "value": 0.05, "low": 0.01, "high": 0.1, "said": ""}
    none = rate | {"value": None, "low": None, "high": None, "said": "10 people are needed, found <b>2</b>"}
    condition = {"missed": rate, "confused": none, "false_alarms": rate}
    faces = {
        "people": 60,
        "pictures": 120,
        "skipped": 2,
        "wanted": 0.001,
        "decide_at": 0.9,
        "calibration": "ab" * 32,
    }
    now = time.time_ns() // 1_000_000
    week = {"seen": 900, "named": 500, "nobody": 300, "undecided": 100, "compared": 400}
    weeks = [
        week | {"began_ms": now - n * 7 * 86_400_000, "likeness": likeness + n / 50} for n in range(6, 0, -1)
    ]
    weeks[2] = weeks[2] | {"likeness": None, "compared": 3}
    return {
        "wall_ms": now,
        "faces": faces | {"bare": condition, "masked": condition},
        "weeks": weeks,
        "strangers_a_day": strangers,
    }


def keep(office: Office, *results: dict[str, Any]) -> None:
    path = office.settings.recognition.gallery
    path.with_name(path.name + ".evaluations.json").write_text(json.dumps(results))


def test_a_threshold_follows_from_how_many_strangers_pass(
    office: Office, client: Callable[..., TestClient]
) -> None:
    reviewer = client("reviewer")
    assert reviewer.get("/api/evaluate/threshold?a_day=0.1").status_code == 409
    keep(office, result(strangers=200.0))
    assert reviewer.get("/api/evaluate/threshold?a_day=0.1").json() == {
        "strangers_a_day": 200.0, "false_alarms": 0.0005, "a_day": 0.1, "limited": False,
    }  # fmt: skip
    assert reviewer.get("/api/evaluate/threshold?a_day=500").json()["limited"] is True
    assert reviewer.get("/api/evaluate/threshold?a_day=0").status_code == 422
    assert client("reviewer", ("gate",)).get("/api/evaluate").status_code == 403


def test_the_report_stands_by_itself_and_reads_nothing_as_markup(
    office: Office, client: Callable[..., TestClient]
) -> None:
    assert client("reviewer").get("/api/evaluate/report.html").status_code == 404
    keep(office, result())
    answer = client("reviewer").get("/api/evaluate/report.html")
    assert "attachment" in answer.headers["content-disposition"]
    assert "not enough data" in answer.text and "more than wanted" in answer.text
    assert "<b>2</b>" not in answer.text and "&lt;b&gt;2" in answer.text
    assert not any(word in report([result()]) for word in ("<script", "src=", "href=", "url("))


def test_a_real_gallery_is_evaluated_in_a_process_of_its_own_while_the_pages_answer(
    office: Office, settings: Settings, client: Callable[..., TestClient]
) -> None:
    enrol(settings)
    reviewer = client("reviewer")
    assert reviewer.post("/api/evaluate").status_code == 202
    assert reviewer.post("/api/evaluate").status_code == 409
    until(lambda: not reviewer.get("/api/evaluate").json()["running"], "the evaluation", 90)
    found = reviewer.get("/api/evaluate").json()
    assert found["problem"] == ""
    faces = found["results"][0]["faces"]
    assert faces["people"] == 2 and faces["bare"]["missed"]["value"] is None
    assert "found" in faces["bare"]["missed"]["said"]
    path = settings.recognition.gallery
    assert stat.S_IMODE(path.with_name(path.name + ".evaluations.json").stat().st_mode) == 0o600
    assert "Obama" not in json.dumps(found)
    reviewer.post("/api/evaluate")
    assert reviewer.delete("/api/evaluate").status_code == 200
    until(lambda: not reviewer.get("/api/evaluate").json()["running"], "its end", 30)
    assert reviewer.get("/api/evaluate").json()["problem"] == "the evaluation was ended"
    assert len(reviewer.get("/api/evaluate").json()["results"]) == 1


def test_the_page_shows_rates_intervals_drift_and_what_to_set(
    server: RunningServer, office: Office, browser: Browser, artefacts: Path
) -> None:
    keep(office, result(), result(likeness=0.5))
    for theme, width in (("dark", 1440), ("light", 390)):
        page = server.open(browser, "/evaluate", width=width, height=900, phone=width == 390)
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'; true")
        page.wait_for("document.querySelectorAll('#weeks tr').length === 6")
        assert page.evaluate("document.querySelectorAll('.scale').length") == 4
        assert "not enough data" in page.evaluate("document.getElementById('conditions').textContent")
        page.evaluate("document.getElementById('suggest').click()")
        page.wait_for("document.getElementById('suggested').textContent.includes('false_alarms: 0.0005')")
        assert serious_findings(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.screenshot(artefacts / f"evaluate-{theme}-{width}.png", whole=True)
        assert page.problems == []
        page.close()
