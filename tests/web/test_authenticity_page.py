"""Whether a picture or clip is genuine: the verdict by the workshop, hostile files, the log, and the page itself."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import cv2
import httpx
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from offices import RunningServer, serious_findings, signed_in
from offices import settings as make_settings
from starlette.testclient import TestClient

from engines.alignment import FACE_SIZE, face_transform, warp
from engines.masks.synthesis import draw_mask
from engines.unmasking.mark import marked_png
from stream.web.authenticity import MOST_CLIP
from stream.web.journal import Filter
from stream.web.office import Office
from stream.web.opening import open_office
from stream.web.workshop import MOST_UPLOADED
from tools.browser import Browser, Page, until

PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"
LANDMARKS = np.array([[205, 101], [247, 103], [225, 129], [201, 140], [245, 141]], np.float32)
ASTRONAUT = cv2.cvtColor(cv2.imread(str(PICTURES / "astronaut.png")), cv2.COLOR_BGR2RGB)
PAINTED = draw_mask(ASTRONAUT, LANDMARKS, np.random.default_rng(3), kind="surgical")[0]
MIRRORED = cv2.flip(PAINTED, 1)  # less sure, so that hiding a part of it moves the verdict: it has heat
FLAG_AT = 0.5
Made = tuple[Office, TestClient]


def png(picture: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def clip_of(path: Path, *parts: NDArray[np.uint8], frames: int = 25) -> bytes:
    """H.264 in MP4, one picture after the other, each for so many frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = parts[0].shape[1], parts[0].shape[0], "yuv420p"
        stream.options = {"crf": "20", "preset": "veryfast"}
        for part in parts:
            for _ in range(frames):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(part, format="rgb24")))
        container.mux(stream.encode(None))
    return path.read_bytes()


def shown(text: str | None) -> NDArray[np.uint8]:
    assert text
    return np.asarray(cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR))


def logged(office: Office) -> list[str]:
    return [entry.detail for entry in office.journal.entries(Filter(action="judged"))]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """An office whose limit is 50 %, and an operator there; the workshop is started once for all tests."""
    folder = tmp_path_factory.mktemp("office")
    office, keeper = open_office(make_settings(folder, authenticity={"flag_at": FLAG_AT}), folder)
    with closing(office), closing(keeper), closing(RunningServer(office, keeper)) as server:
        cookie, token = signed_in(office, keeper, "operator")
        with httpx.Client(
            base_url=server.url, headers={"x-unvizard": "page"}, cookies={cookie: token}, timeout=120
        ) as asker:
            yield office, asker  # type: ignore[misc]


def judged(made: Made, picture: bytes) -> dict[str, Any]:
    answer = made[1].post("/api/authenticity/picture", content=picture)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def test_a_photograph_and_a_painted_mask_are_told_apart_with_a_heat_map_beside_each_face(made: Made) -> None:
    photograph, painted = judged(made, (PICTURES / "biden.jpg").read_bytes()), judged(made, png(MIRRORED))
    assert photograph["conclusion"] == "photographed" and photograph["headline"] == "Looks photographed"
    assert [face["verdict"] for face in photograph["faces"]] == ["photographed"]
    assert painted["conclusion"] == "synthetic" and painted["headline"] == "Looks painted or generated"
    (face,) = painted["faces"]
    assert face["verdict"] == "painted or generated" and face["masked"] and face["probability"] >= FLAG_AT
    plain, heat = shown(face["picture"]), shown(face["heat_map"])
    assert plain.shape == heat.shape == (112, 112, 3)
    redder = (heat[..., 2].astype(int) - heat[..., 0]) - (plain[..., 2].astype(int) - plain[..., 0])
    assert redder[56:].max() > 40, "the mask is what looks painted"
    assert shown(painted["heat_map"]).shape == PAINTED.shape
    assert not painted["own_mark"]["marked"] and "no evidence" in painted["hint"]


def test_our_own_reconstruction_is_known_by_its_mark(made: Made) -> None:
    face = warp(ASTRONAUT, face_transform(LANDMARKS), FACE_SIZE)
    found = judged(made, marked_png(face, np.zeros((FACE_SIZE, FACE_SIZE), np.float32)))
    assert found["own_mark"]["marked"] and found["conclusion"] == "reconstruction"
    assert found["headline"] == "A reconstruction made by Unvizard"


def test_it_is_judged_in_the_workshop_noted_in_the_log_and_kept_nowhere(made: Made) -> None:
    office, _ = made
    picture = png(PAINTED)
    judged(made, picture)
    child = psutil.Process(office.workshop.pid)
    assert child.ppid() == os.getpid() and "stream.web.workbench" in child.cmdline()
    assert logged(office)[0] == f"picture, sha256 {hashlib.sha256(picture).hexdigest()}: synthetic"
    folder = office.settings.recognition.gallery.parent
    assert not [file for file in folder.rglob("*") if file.suffix in (".png", ".mp4", ".jpg")]
    head = picture[100:400]
    assert not [file for file in folder.rglob("*") if file.is_file() and head in file.read_bytes()]


def test_a_clip_says_how_many_frames_look_painted_and_how_far_it_is(made: Made, tmp_path: Path) -> None:
    office, asker = made
    clip = clip_of(tmp_path / "both.mp4", ASTRONAUT, PAINTED)
    shares: list[float] = []
    over = threading.Event()
    with httpx.Client(base_url=asker.base_url, headers=asker.headers, cookies=asker.cookies) as other:

        def watch() -> None:
            while not over.is_set():
                share = other.get("/api/authenticity/progress?watch=mine").json()["share"]
                if share is not None:
                    shares.append(share)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            answer = asker.post("/api/authenticity/clip?watch=mine", content=clip)
        finally:
            over.set()
            thread.join()
    found = answer.json()
    assert answer.status_code == 200 and found["kind"] == "clip" and found["conclusion"] == "synthetic"
    assert found["frames"] == {"looked_at": 12, "with_face": 12, "synthetic": 6}
    seconds = [look["seconds"] for look in found["looks"]]
    assert seconds == sorted(seconds) and len(seconds) == 12
    assert [look["synthetic"] for look in found["looks"]] == [False] * 6 + [True] * 6
    assert shown(found["faces"][0]["heat_map"]).shape == (112, 112, 3)
    assert shares == sorted(shares) and any(0 < share < 1 for share in shares)
    assert asker.get("/api/authenticity/progress?watch=mine").json() == {"share": None}
    assert logged(office)[0] == f"clip, sha256 {hashlib.sha256(clip).hexdigest()}: synthetic"
    assert not list(office.settings.recognition.gallery.parent.rglob("tmp*"))


NO_IMAGE = "is not an image that can be read (JPEG, PNG, WEBP, AVIF, TIFF, BMP)"
NO_VIDEO = "is not a video that can be read"
CONTAINERS = f"{NO_VIDEO} (MP4, MOV, MKV, WebM, AVI, MPEG-TS)"


@pytest.mark.parametrize(
    ("kind", "body", "status", "reason"),
    [
        ("picture", b"", 422, "the body must be a file, found nothing"),
        ("picture", b"Dear Sir or Madam", 422, f"the picture {NO_IMAGE}"),
        ("picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422, f"the picture {NO_IMAGE}"),
        (
            "picture",
            (PICTURES / "obama.jpg").read_bytes()[:20_000],
            422,
            "the picture is damaged or cut short",
        ),
        ("clip", b"", 422, "the body must be a file, found nothing"),
        ("clip", b"#EXTM3U\nfile:///etc/passwd\nhttp://127.0.0.1:1/", 422, f"the clip {CONTAINERS}"),
        ("clip", b"ffconcat version 1.0\nfile /etc/passwd\n", 422, f"the clip {CONTAINERS}"),
        ("clip", (PICTURES / "obama.jpg").read_bytes(), 422, f"the clip {CONTAINERS}"),
        ("clip", b"\0\0\0\x18ftypmp42" + bytes(4000), 422, f"the clip {NO_VIDEO}"),
        ("clip", b"\x1a\x45\xdf\xa3" + os.urandom(4000), 422, f"the clip {NO_VIDEO}"),
    ],
    ids=["nothing", "letter", "SVG", "half a JPEG", "no clip", "playlist", "concat", "JPEG", "MP4", "MKV"],
)
def test_hostile_files_are_refused_with_the_reason_and_the_pages_stay_up(
    made: Made, kind: str, body: bytes, status: int, reason: str
) -> None:
    office, asker = made
    answer = asker.post(f"/api/authenticity/{kind}", content=body)
    assert (answer.status_code, answer.json()["detail"][: len(reason)]) == (status, reason)
    assert "/proc/" not in answer.text and "Traceback" not in answer.text
    if body:
        assert logged(office)[0] == f"{kind}, sha256 {hashlib.sha256(body).hexdigest()}: refused"
    assert asker.get("/healthz").status_code == 200


def test_half_a_clip_is_refused_or_judged_by_what_can_be_read(made: Made, tmp_path: Path) -> None:
    clip = clip_of(tmp_path / "cut.mp4", ASTRONAUT)
    answer = made[1].post("/api/authenticity/clip", content=clip[: len(clip) // 2])
    assert answer.status_code == 422 and NO_VIDEO in answer.json()["detail"]


@pytest.mark.parametrize(("kind", "most"), [("picture", MOST_UPLOADED), ("clip", MOST_CLIP)])
def test_files_beyond_the_limit_are_refused_before_they_are_read(
    client: Callable[..., TestClient], kind: str, most: int
) -> None:
    answer = client("operator").post(
        f"/api/authenticity/{kind}", content=b"", headers={"content-length": str(most + 1)}
    )
    assert answer.status_code == 413
    assert answer.json()["detail"] == f"is too large: at most {most >> 20} MiB are taken"


def test_a_workshop_that_dies_gives_a_clear_error_and_the_next_picture_is_judged(made: Made) -> None:
    office, asker = made
    judged(made, png(ASTRONAUT))
    pid = office.workshop.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(0.5, lambda: os.kill(pid, signal.SIGKILL)).start()
    answer = asker.post("/api/authenticity/picture", content=png(ASTRONAUT))
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("the picture ended the program that looked at it")
    assert judged(made, png(ASTRONAUT))["conclusion"] == "photographed" and office.workshop.pid != pid


def test_a_workshop_that_cannot_open_its_networks_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    office, keeper = open_office(make_settings(tmp_path, engines={"cache": str(tmp_path / "file")}), tmp_path)
    with closing(office), closing(keeper), closing(RunningServer(office, keeper)) as server:
        cookie, token = signed_in(office, keeper, "operator")
        answer = httpx.post(
            f"{server.url}api/authenticity/picture",
            content=png(ASTRONAUT),
            headers={"x-unvizard": "page"},
            cookies={cookie: token},
            timeout=90,
        )
    assert answer.status_code == 503
    assert answer.json() == {"detail": "the program that looks at pictures did not start: see the log"}


def wait(page: Page, script: str) -> None:
    until(lambda: page.evaluate(script), script, 90)


def choose(page: Page, file: Path) -> None:
    root = page.send("DOM.getDocument")["root"]["nodeId"]
    node = page.send("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    page.send("DOM.setFileInputFiles", nodeId=node, files=[str(file)])


def text(page: Page, selector: str) -> str:
    return str(page.evaluate(f"document.querySelector('{selector}').textContent"))


def looked_at(page: Page, path: Path, width: int = 1440) -> None:
    """No serious finding of axe, nothing wider than the window, in both themes; each is kept as a picture."""
    wait(page, "[...document.images].every(image => image.complete)")
    for theme in ("dark", "light"):
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'; true")
        assert serious_findings(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path.with_name(f"{path.name}-{theme}.png"), whole=True)


@pytest.mark.timeout(300)
def test_the_page_judges_a_chosen_picture_a_clip_and_a_dropped_file(
    server: RunningServer, browser: Browser, tmp_path: Path, artefacts: Path
) -> None:
    (tmp_path / "painted.png").write_bytes(png(MIRRORED))
    clip_of(tmp_path / "both.mp4", ASTRONAUT, PAINTED)
    page = server.open(browser, "/authenticity", "operator")
    wait(page, "'ready' in document.documentElement.dataset")
    assert "no evidence" in text(page, ".notice")
    for _ in range(40):  # by keyboard alone one gets to the choice of a file
        if page.evaluate("document.activeElement.id") == "file":
            break
        page.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"

    choose(page, tmp_path / "painted.png")
    wait(page, "!document.getElementById('found').hidden")
    assert page.evaluate("document.activeElement.id") == "headline", "the verdict is what is read next"
    assert page.evaluate("document.querySelectorAll('#faces .pair img').length") == 2
    assert "%" in text(page, "#faces li p") and "mark was not found" in text(page, "#mark")
    looked_at(page, artefacts / "authenticity-picture")

    page.send("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=2, mobile=True)
    page.evaluate(
        "window.shares = []; new MutationObserver(() => shares.push(document.getElementById('share').value))"
        ".observe(document.getElementById('share'), { attributes: true }); true"
    )
    choose(page, tmp_path / "both.mp4")
    wait(page, "!document.getElementById('looks').hidden && document.getElementById('going').hidden")
    assert page.evaluate("document.querySelectorAll('#looks li').length") == 12
    assert "of the frames with a face" in text(page, "#frames-said")
    assert page.evaluate("shares.some(share => share > 0)"), "its progress was shown"
    looked_at(page, artefacts / "authenticity-clip-phone", 390)

    assert page.problems == []
    page.evaluate(
        "(() => { const given = new DataTransfer(); given.items.add(new File(['Dear Sir'], '<b>letter</b>.jpg'));"
        " const dropped = new DragEvent('drop', { dataTransfer: given, bubbles: true });"
        " document.getElementById('drop').dispatchEvent(dropped); })()"
    )
    wait(page, "!document.getElementById('problem').hidden")
    assert text(page, "#problem") == f"<b>letter</b>.jpg: the picture {NO_IMAGE}"
    assert page.evaluate("document.getElementById('found').hidden"), "no verdict of the file before is left"
    looked_at(page, artefacts / "authenticity-refused-phone", 390)
    assert all(address.startswith((server.url, "blob:")) for address in page.requests)
    page.close()
