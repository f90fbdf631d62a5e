"""`unvizard unmask`: photographs in, marked guesses out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from engines.masks.synthesis import Kind, draw_mask
from engines.unmasking.inspection import inspect
from engines.unmasking.mark import STRIP, TILE
from stream.config import Settings
from stream.photo_faces import find_faces
from stream.unmasking import PictureUnmasker
from tools.cli import app
from tools.demo.enrolled import PICTURES

BARE = PICTURES / "obama3.jpg"


@pytest.fixture(scope="module")
def unmasker() -> PictureUnmasker:
    return PictureUnmasker.open(Settings())


@pytest.fixture(scope="module")
def masked(unmasker: PictureUnmasker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph of somebody with a mask on, far larger than a camera's picture."""
    picture = cv2.imread(str(BARE))[..., ::-1]
    x1, y1, x2, y2 = find_faces(unmasker._detector, picture).boxes[0].astype(int)
    side = y2 - y1
    head = picture[max(0, y1 - side // 2) : y2 + side // 2, max(0, x1 - side) : x2 + side]
    large = np.ascontiguousarray(cv2.resize(head, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC))
    assert max(large.shape) > 1280
    landmarks = find_faces(unmasker._detector, large).landmarks[0]
    worn, _ = draw_mask(large, landmarks, np.random.default_rng(2), kind=Kind.SURGICAL)
    path = tmp_path_factory.mktemp("photographs") / "masked.png"
    cv2.imwrite(str(path), worn[..., ::-1])
    return path


def test_a_masked_face_becomes_a_signed_picture_of_original_and_guess(masked: Path, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(f"signing: {{key: {tmp_path / 'key'}}}\n")
    done = CliRunner().invoke(
        app,
        ["unmask", str(masked), "--output", str(tmp_path / "new" / "out"), "--json", "--config", str(site)],
    )
    assert done.exit_code == 0, done.output
    ((entry),) = json.loads(done.stdout)
    (face,) = entry["faces"]
    assert (face["mask"], face["file"]) == ("worn", str(tmp_path / "new" / "out" / "masked.face-1.png"))
    assert 0.1 < face["painted"] < 0.6
    found = inspect(Path(face["file"]))
    assert found.marked and found.unaltered
    picture = cv2.imread(face["file"])
    assert picture.shape == (TILE + STRIP, 2 * TILE + 4, 3)
    original, guess = picture[:TILE, :TILE].astype(float), picture[:TILE, TILE + 4 :].astype(float)
    changed = np.abs(original - guess).mean(2)
    assert changed[160:230, 90:166].mean() > 20, "the mask is still there"
    assert changed[:40].mean() < 8, "the brow is not what was photographed"


def test_a_face_without_a_mask_is_left_alone_and_said_to_be_bare(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["unmask", str(BARE), "--output", str(tmp_path)])
    assert done.exit_code == 1
    assert "no mask (" in done.stdout
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_read_is_named_and_the_others_are_done(masked: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(BARE.read_bytes()[:3000])
    missing = tmp_path / "missing.jpg"
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["unmask", str(broken), str(missing), str(masked), "--output", str(out)])
    assert done.exit_code == 2
    assert f"{missing}: there is no such file" in done.stderr
    assert f"{broken}: " in done.stderr
    assert [file.name for file in out.iterdir()] == ["masked.face-1.png"]


def test_a_folder_that_cannot_be_made_is_an_error_before_any_work(masked: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = CliRunner().invoke(app, ["unmask", str(masked), "--output", str(tmp_path / "file" / "out")])
    assert done.exit_code == 2
    assert f"--output: {tmp_path / 'file' / 'out'}: cannot be made: " in done.stderr


def test_a_sheet_holds_all_faces_numbered_and_says_what_it_is(masked: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    done = CliRunner().invoke(app, ["unmask", *[str(masked)] * 5, "--sheet", str(sheet), "--json"])
    assert done.exit_code == 0, done.output
    assert [entry["faces"][0]["file"] for entry in json.loads(done.stdout)] == [
        f"{sheet}#{n}" for n in range(1, 6)
    ]
    assert list(tmp_path.iterdir()) == [sheet]
    assert inspect(sheet).marked and inspect(sheet).unaltered
    assert cv2.imread(str(sheet)).shape == (2 * (TILE + STRIP), 4 * (2 * TILE + 4), 3)


def test_a_face_too_small_to_guess_from_is_refused_with_the_reason(masked: Path, tmp_path: Path) -> None:
    picture = cv2.imread(str(masked))
    small = tmp_path / "small.png"
    scale = 72 / picture.shape[0]
    canvas = np.full((480, 640, 3), 120, np.uint8)
    away = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas[180 : 180 + away.shape[0], 260 : 260 + away.shape[1]] = away
    cv2.imwrite(str(small), canvas)
    done = CliRunner().invoke(app, ["unmask", str(small), "--output", str(tmp_path / "out")])
    assert done.exit_code == 1, done.output
    assert re.search(r"mask worn .*: no guess, too small$", done.stdout, re.MULTILINE)
    assert not list((tmp_path / "out").iterdir())
