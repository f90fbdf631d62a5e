"""The gallery beside a running pipeline: changes are noticed, and templates of other embedders are made anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.recognition.calibration import Calibration
from engines.recognition.embedder import unit
from engines.recognition.enrolled import Template
from engines.recognition.evidence import VIEWS, EvidenceMaker
from engines.recognition.gallery import Gallery, GalleryError
from stream.config import Recognition
from stream.gallery_watch import GalleryWatch

SPACE = Calibration.load().space


class Embedder:
    """Answers with numbers that hang on the picture and on its own name."""

    def __init__(self, space: str, gate: threading.Event | None = None) -> None:
        self.space, self._gate = space, gate

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self._gate:
            assert self._gate.wait(10)
        rows = [np.random.default_rng([len(self.space), int(c.sum())]).normal(size=128) for c in crops]
        return unit(np.stack(rows))


def maker(twin: str, space: str = SPACE, gate: threading.Event | None = None) -> EvidenceMaker:
    return EvidenceMaker(Embedder(space, gate), Embedder(twin))  # type: ignore[arg-type]


def template(seed: int, evidence: EvidenceMaker, picture: bool = True) -> Template:
    crop = np.random.default_rng(seed).integers(0, 255, (14, 14, 3), np.uint8)
    crop = np.asarray(cv2.resize(crop, (224, 224), interpolation=cv2.INTER_LINEAR), np.uint8)
    views = evidence.views(np.asarray(cv2.resize(crop, (112, 112), interpolation=cv2.INTER_AREA), np.uint8))
    data = cv2.imencode(".png", crop[..., ::-1])[1].tobytes() if picture else b""
    return Template(views, evidence.space, 0.9, bytes([seed]) * 32, evidence.views_space, data)


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    return tmp_path / "gallery.sqlite3"


@pytest.fixture
def watch(gallery: Path) -> Iterator[Callable[[EvidenceMaker], GalleryWatch]]:
    opened: list[GalleryWatch] = []

    def open_watch(evidence: EvidenceMaker) -> GalleryWatch:
        settings = Recognition(gallery=gallery)
        opened.append(GalleryWatch(settings, evidence.space, evidence.views_space, "", lambda: evidence))
        return opened[-1]

    yield open_watch
    for each in opened:
        each.close()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_people_who_come_and_go_are_noticed(
    gallery: Path, watch: Callable[[EvidenceMaker], GalleryWatch]
) -> None:
    evidence = maker("twin")
    watching = watch(evidence)
    assert watching.people == 0 and not watching.refresh() and watching.notes == ()
    with Gallery(gallery) as book:
        book.add("Ada", template(1, evidence), "consent", "tester")
        assert watching.refresh() and watching.people == 1 and not watching.refresh()
        assert watching.notes == () and watching.matcher.snapshot.complete
        book.remove("Ada", "tester")
        assert watching.refresh() and watching.people == 0


def test_other_views_are_made_in_the_background_while_people_are_still_recognised(
    gallery: Path, watch: Callable[[EvidenceMaker], GalleryWatch]
) -> None:
    with Gallery(gallery) as book:
        for seed in (1, 2, 3):
            book.add(f"Person {seed}", template(seed, maker("old twin")), "consent", "tester")
    gate = threading.Event()
    evidence = maker("the new twin", gate=gate)
    watching = watch(evidence)
    assert watching.people == 3 and not watching.matcher.snapshot.complete
    assert watching.notes == ("templates are being made for the new embedder: 0% done",)
    with Gallery(gallery) as book:  # nobody has to wait for it
        book.remove("Person 2", "tester")
    assert watching.refresh() and watching.people == 2
    gate.set()
    until(lambda: watching.refresh() and watching.matcher.snapshot.complete)
    assert watching.notes == ()
    expected = [template(seed, maker("the new twin")).views for seed in (1, 3)]
    for view in VIEWS:
        found = watching.matcher.snapshot.views[view]
        assert np.allclose(found, np.stack([views[view] for views in expected]), atol=1e-5), view


def test_a_gallery_of_another_embedder_serves_nobody_until_it_is_renewed(
    gallery: Path, watch: Callable[[EvidenceMaker], GalleryWatch]
) -> None:
    with Gallery(gallery) as book:
        book.add("Ada", template(1, maker("twin", space="another:embedder")), "consent", "tester")
    gate = threading.Event()
    watching = watch(maker("twin", gate=gate))
    assert watching.people == 0
    assert any("were enrolled with the embedder another:embedder" in note for note in watching.notes)
    gate.set()
    until(watching.refresh)
    assert watching.people == 1 and watching.matcher.snapshot.space == SPACE and watching.notes == ()


def test_without_pictures_another_embedder_is_a_fault_and_the_gallery_stays_as_it_was(
    gallery: Path, watch: Callable[[EvidenceMaker], GalleryWatch]
) -> None:
    old = maker("twin", space="another:embedder")
    with Gallery(gallery) as book:
        book.add("Ada", template(1, old, picture=False), "consent", "tester")
    with pytest.raises(GalleryError, match="were enrolled with the embedder another:embedder"):
        watch(maker("twin"))
    with Gallery(gallery) as book:
        assert book.load("another:embedder").names == ("Ada",)


def test_people_enrolled_before_pictures_were_kept_are_pointed_out(
    gallery: Path, watch: Callable[[EvidenceMaker], GalleryWatch]
) -> None:
    evidence = maker("twin")
    whole = template(1, evidence, picture=False)
    with Gallery(gallery) as book:
        book.add("Ada", Template({"whole": whole.embedding}, SPACE, 0.9, whole.digest), "consent", "tester")
    watching = watch(evidence)
    assert watching.people == 1
    assert any("were enrolled before pictures were kept" in note for note in watching.notes)
