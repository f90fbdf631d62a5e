"""The watermark after what happens to pictures, by the tool that measures it, on the few pictures that are shipped."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.alignment import FACE_SIZE
from engines.unmasking.mark import TILE, mark
from tools.evaluate_mark import CHANGES, centre, cut, face_region, h264, main, rate, read_pictures, square

PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"


@pytest.fixture(scope="module")
def faces() -> list[np.ndarray]:
    """Pieces of the shipped photographs around the faces, at several scales."""
    found = []
    for picture in read_pictures(PICTURES, 100):
        for share in (0.9, 0.5, 0.3):
            side = int(min(picture.shape[:2]) * share)
            top, left = (picture.shape[0] - side) // 3, (picture.shape[1] - side) // 2
            found.append(square(picture[top : top + side, left : left + side], FACE_SIZE))
    assert len(found) >= 6
    return found


@pytest.mark.parametrize("name", CHANGES)
def test_the_mark_is_found_after(name: str, faces: list[np.ndarray]) -> None:
    found = rate([mark(face, face_region()) for face in faces], CHANGES[name])
    assert found.share >= 0.98, f"least score {found.lowest:.2f}"


def test_the_mark_is_not_found_where_there_is_none(faces: list[np.ndarray]) -> None:
    plain = [square(face, TILE) for face in faces]
    for change in CHANGES.values():
        assert rate(plain, change).found == 0


def test_the_cuts_take_what_they_say() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[:25] = 255
    assert cut(picture, "top").shape == (75, 200, 3) and not cut(picture, "top").any()
    assert cut(picture, "left").shape == cut(picture, "right").shape == (100, 150, 3)
    assert cut(picture, "bottom")[:25].all()
    middle = centre(picture).shape
    assert middle[0] * middle[1] == pytest.approx(0.75 * 100 * 200, rel=0.03)
    assert h264(picture[:99, :199]).shape == (98, 198, 3)


def test_the_tool_writes_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for i in range(4):
        coarse = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{i}.png"), cv2.resize(coarse, (160, 160), interpolation=cv2.INTER_CUBIC))
    main(tmp_path, marked=2, unmarked=2, json_file=tmp_path / "out" / "mark.json")
    report = json.loads((tmp_path / "out" / "mark.json").read_text())
    assert report["rates"]["marked: nothing"] | {"lowest": 0, "median": 0, "highest": 0} == {
        "pictures": 2,
        "found": 2,
        "share": 1.0,
        "lowest": 0,
        "median": 0,
        "highest": 0,
    }
    assert report["rates"]["unmarked: as they are"]["found"] == 0
    assert "marked: JPEG q70" in capsys.readouterr().out
