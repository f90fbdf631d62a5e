"""The process that looks at uploaded pictures: with real networks, hostile files, kill -9 and processes that hang."""

from __future__ import annotations

import io
import os
import signal
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from engines.masks.synthesis import draw_mask
from engines.recognition.photo import Refused
from stream.config import Settings
from stream.web.workshop import MOST_UPLOADED, Workshop, WorkshopBusy, WorkshopError
from tools.browser import until

PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"
OBAMA = (PICTURES / "obama.jpg").read_bytes()
BIDEN = (PICTURES / "biden.jpg").read_bytes()
MOST_MEMORY = 2 << 30


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    made = Workshop(Settings())
    yield made
    made.close()


def file_of(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def picture_of_two() -> bytes:
    one = np.asarray(Image.open(PICTURES / "obama.jpg").convert("RGB").resize((300, 375)))
    return file_of(np.hstack([one, one]))


def png_that_says_50000_by_50000() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_a_good_photograph_gives_a_template_its_face_and_a_small_picture(workshop: Workshop) -> None:
    looked = workshop.examine(OBAMA)
    assert looked.refusal == "" and looked.template is not None
    template = looked.template.template()
    again = workshop.measure((PICTURES / "obama3.jpg").read_bytes())
    assert template.space == again.space and float(template.embedding @ again.embedding) > 0.6
    assert float(template.embedding @ workshop.measure(BIDEN).embedding) < 0.3
    face = looked.faces[0]
    assert 0.4 < face.box[0] < face.box[2] < 0.7 and face.eye_distance > 60 and face.weight > 0.5
    preview = Image.open(io.BytesIO(looked.preview))
    assert preview.format == "JPEG" and max(preview.size) == 360
    kept = Image.open(io.BytesIO(template.picture))
    assert kept.size == (224, 224)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (b"", "is not an image that can be read"),
        (b"Dear Sir or Madam", "is not an image that can be read"),
        (b"GIF89a" + bytes(100), "is not an image that can be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not an image that can be read"),
        (OBAMA[: len(OBAMA) // 2], "is damaged or cut short"),
        (png_that_says_50000_by_50000(), "is too large: at most 60 megapixels are decoded"),
        (bytes(MOST_UPLOADED + 1), "is too large: at most 32 MiB, found 32"),
    ],
    ids=["nothing", "a letter", "a GIF", "an SVG", "half a JPEG", "50000 x 50000", "33 MiB"],
)
def test_what_is_no_photograph_is_refused_with_the_reason_and_nothing_else_happens(
    workshop: Workshop, picture: bytes, reason: str
) -> None:
    for look in (workshop.examine, workshop.measure):
        with pytest.raises(Refused, match=reason):
            look(picture)
    assert workshop.pid is None or psutil.pid_exists(workshop.pid)


def test_a_photograph_that_will_not_do_is_shown_with_its_faces_and_the_reason(workshop: Workshop) -> None:
    two = workshop.examine(picture_of_two())
    assert (len(two.faces), two.template) == (2, None)
    assert two.refusal == "two faces were found: enrolment needs a photograph of one person alone"
    none = workshop.examine(file_of(np.full((300, 400, 3), 90, np.uint8)))
    assert (none.faces, none.template, none.refusal) == ((), None, "no face was found") and none.preview
    small = Image.open(PICTURES / "obama.jpg").convert("RGB").resize((205, 256))
    assert workshop.examine(file_of(np.asarray(small))).refusal.startswith("the face is too small (the eyes")
    pixels = np.asarray(Image.open(PICTURES / "obama.jpg").convert("RGB"))
    x1, y1, x2, y2 = (workshop.examine(OBAMA).faces[0].box * np.array([910, 1137] * 2)).astype(float)
    eyes = y1 + 0.42 * (y2 - y1)
    marks = np.array(
        [[x1 + 0.3 * (x2 - x1), eyes], [x1 + 0.7 * (x2 - x1), eyes], [(x1 + x2) / 2, y1 + 0.62 * (y2 - y1)]]
        + [[x1 + s * (x2 - x1), y1 + 0.8 * (y2 - y1)] for s in (0.35, 0.65)],
        np.float32,
    )
    masked, _ = draw_mask(pixels, marks, np.random.default_rng(2))
    assert (
        workshop.examine(file_of(masked)).refusal == "the face wears a mask: enrolment needs the whole face"
    )
    assert "the face wears a mask" in " ".join(workshop.measure(file_of(masked)).notes)


def test_the_largest_picture_that_is_taken_stays_within_bounded_memory(workshop: Workshop) -> None:
    assert workshop.examine(file_of(np.zeros((7700, 7700), np.uint8))).refusal == "no face was found"
    with pytest.raises(Refused, match="is too large"):
        workshop.examine(png_that_says_50000_by_50000())
    status = Path(f"/proc/{workshop.pid}/status").read_text()
    peak = next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak < MOST_MEMORY
    limits = Path(f"/proc/{workshop.pid}/limits").read_text()
    (bound,) = (line for line in limits.splitlines() if line.startswith("Max data size"))
    assert bound.split()[3] == str(4 << 30)
    assert psutil.Process(workshop.pid).nice() >= 10


def test_one_that_dies_or_hangs_costs_one_picture_and_the_next_is_looked_at() -> None:
    workshop = Workshop(Settings())
    try:
        workshop.examine(OBAMA)
        first = workshop.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        threading.Timer(0.3, lambda: os.kill(first, signal.SIGKILL)).start()
        with pytest.raises(Refused, match="ended the program that looked at it"):
            workshop.examine(OBAMA)
        assert workshop.examine(OBAMA).template and workshop.pid != first
        second = workshop.pid
        assert second is not None
        os.kill(second, signal.SIGSTOP)
        workshop.patience_s, patience_s = 1.0, workshop.patience_s
        with pytest.raises(Refused, match="could not be decoded within 1 s"):
            workshop.examine(OBAMA)
        assert not psutil.pid_exists(second)
        workshop.patience_s = patience_s
        assert workshop.measure(OBAMA).masked is False
    finally:
        workshop.close()
    assert workshop.pid is None


def test_it_ends_by_itself_when_nothing_comes_and_leaves_no_zombie() -> None:
    workshop = Workshop(Settings(), idle_s=0.5)
    try:
        assert workshop.pid is None  # nothing is started before the first picture
        workshop.examine(OBAMA)
        pid = workshop.pid
        assert pid is not None
        until(lambda: not psutil.pid_exists(pid), "the end of the idle process", 30)
        assert workshop.examine(BIDEN).template and workshop.pid != pid
    finally:
        workshop.close()


def test_more_pictures_than_may_wait_are_turned_away_at_once(workshop: Workshop) -> None:
    workshop.examine(OBAMA)
    pid = workshop.pid
    assert pid is not None
    answers: list[object] = []

    def ask() -> None:
        try:
            workshop.examine(b"a letter")
        except (Refused, WorkshopError) as error:
            answers.append(error)

    os.kill(pid, signal.SIGSTOP)
    threads = [threading.Thread(target=ask) for _ in range(10)]
    try:
        for thread in threads:
            thread.start()
        until(lambda: len(answers) == 2, "the two who find no place", 20)
        assert all(isinstance(answer, WorkshopBusy) for answer in answers)
    finally:
        os.kill(pid, signal.SIGCONT)
        for thread in threads:
            thread.join(60)
    assert sum(isinstance(answer, Refused) for answer in answers) == 8


def test_a_workshop_that_cannot_open_its_networks_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings.model_validate({"engines": {"cache": str(tmp_path / "file")}})
    workshop = Workshop(settings)
    began = time.monotonic()
    with pytest.raises(WorkshopError, match=r"cannot|not|file"):
        workshop.examine(OBAMA)
    assert workshop.pid is None and time.monotonic() - began < 60
