"""The human study: its page in a real browser, its answers, and its figures."""

import csv
import io
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

from stream.display.server import Server, address, listen
from tools.study.store import Asked, Store, StudyError, share
from tools.study.web import choose, create_app

ROOT = Path(__file__).parents[2]


@pytest.fixture
def study(tmp_path):
    """The page over pictures of one colour: photographs are green, reconstructions red."""
    kinds = {}
    for kind, colour in (("real", (0, 160, 0)), ("fake", (0, 0, 160))):
        (tmp_path / kind).mkdir()
        for i in range(30):
            cv2.imwrite(str(tmp_path / kind / f"{i}.png"), np.full((64, 64, 3), colour, np.uint8))
        kinds[kind] = sorted((tmp_path / kind).iterdir())
    store = Store(tmp_path / "answers.sqlite3")
    listener = listen("127.0.0.1", 0)
    server = Server(create_app(kinds["real"], kinds["fake"], 22, store), listener)
    server.start()
    yield address(listener), store
    server.close()
    store.close()


def post(url, body=None):
    request = urllib.request.Request(url, json.dumps(body or {}).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_a_sitting_is_answered_scored_and_exported(study):
    url, store = study
    begun = post(f"{url}sittings")
    assert begun["pictures"] == 22
    for number in range(1, 23):
        with urllib.request.urlopen(f"{url}sittings/{begun['sitting']}/{number}.png", timeout=10) as answer:
            picture = cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (256, 256, 3)
        truth = "reconstruction" if picture[0, 0, 2] > 100 else "photograph"
        said = "photograph" if number == 7 else truth
        assert post(f"{url}sittings/{begun['sitting']}/{number}", {"said": said})["right"] == (said == truth)
    results = store.results()
    assert results["people"] == 1 and results["right"]["of"] == 22 and results["right"]["count"] >= 21
    rows = list(csv.DictReader(io.StringIO(store.export())))
    assert len(rows) == 22 and {row["was"] for row in rows} == {"photograph", "reconstruction"}
    with pytest.raises(urllib.error.HTTPError) as twice:
        post(f"{url}sittings/{begun['sitting']}/7", {"said": "photograph"})
    assert twice.value.code == 400 and b"the first answer counts" in twice.value.read()
    with pytest.raises(urllib.error.HTTPError) as odd:
        post(f"{url}sittings/{begun['sitting']}/8", {"said": "perhaps"})
    assert b"found 'perhaps'" in odd.value.read()


def test_the_page_is_played_with_the_keyboard(study, browser, artefacts):
    url, store = study
    page = browser.open(url, 900, 800)
    page.wait_for("document.readyState === 'complete'")
    page.click("#begin")
    for number in range(1, 23):
        page.wait_for(
            f"document.getElementById('where').textContent.startsWith('{number} of 22') && "
            "document.getElementById('face').complete && document.getElementById('face').naturalWidth === 256"
        )
        page.press("ArrowRight")
    page.wait_for("!document.getElementById('end').hidden")
    score = page.evaluate("document.getElementById('score').textContent")
    results = store.results()
    assert score == next(iter(results["histogram"]))
    assert results["fakes_taken_for_photographs"]["count"] == 0
    assert results["photographs_taken_for_fakes"]["share"] == 1
    assert "95 % interval" in page.evaluate("document.getElementById('summary').textContent")
    page.screenshot(artefacts / "human-study.png")
    assert not page.problems and all(request.startswith(url) for request in page.requests)


def test_pictures_are_drawn_with_even_chance_and_none_twice():
    real, fake = ([Path(f"{kind}{i}") for i in range(40)] for kind in "rf")
    rng = np.random.default_rng(0)
    sittings = [choose(real, fake, 22, rng) for _ in range(200)]
    assert all(len({path for path, _ in sitting}) == 22 for sitting in sittings)
    counts = [sum(is_fake for _, is_fake in sitting) for sitting in sittings]
    assert 10 < np.mean(counts) < 12 and min(counts) < 9 and max(counts) > 13
    assert 0.4 < np.mean([sitting[0][1] for sitting in sittings]) < 0.6
    assert len(choose(real[:2], fake, 22, rng)) == 22


def test_the_interval_is_wilsons():
    found = share(40, 100)
    assert (found["low"], found["high"]) == pytest.approx((0.3094, 0.4980), abs=1e-4)
    assert share(0, 10)["low"] == 0 and share(0, 10)["high"] == pytest.approx(0.2775, abs=1e-4)
    assert share(0, 0)["share"] is None


def test_an_unfinished_sitting_is_kept_and_not_counted(tmp_path):
    store = Store(tmp_path / "a.sqlite3")
    store.begin("one", [Asked("real/1.png", False), Asked("fake/1.png", True)])
    store.answer("one", 1, False)
    store.close()
    again = Store(tmp_path / "a.sqlite3")  # as after a power cut
    assert again.results()["people"] == 0 and again.results()["unfinished"] == 1
    assert again.answer("one", 2, False) is False
    assert again.results()["fakes_taken_for_photographs"]["share"] == 1
    with pytest.raises(StudyError, match="must be one of this sitting, found number 3"):
        again.answer("one", 3, True)
    again.close()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("/nowhere",), "IMAGES: must be a folder of photographs, found /nowhere"),
        (("--results", "--store", "/nowhere/a.sqlite3"), "must be a study that was begun, found no file"),
        ((ROOT / "tools/demo/pictures",), "must hold at least 44 faces for 22 pictures a sitting, found"),
    ],
)
def test_bad_input_is_named(arguments, sentence, tmp_path):
    command = [sys.executable, "-m", "tools.human_study", *map(str, arguments)]
    if "--store" not in arguments:
        command += ["--store", str(tmp_path / "a.sqlite3")]
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2 and time.monotonic() - began < 120
    assert sentence in " ".join(done.stderr.replace("│", " ").split())
