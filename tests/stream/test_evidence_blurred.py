"""Evidence bundles where strangers are to be unrecognisable: stills and pictures, and what becomes of the footage."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from evidence_helpers import CAMERA, fill, make_clip
from footage_maker import Clip
from numpy.typing import NDArray

from engines.signing import SigningKey
from stream.archive.archive import Archive
from stream.evidence.bundling import Export, make_bundle
from stream.evidence.verification import verify_bundle
from stream.stills import shown_kinds, veiled_picture

NOTE = "In stills and pictures, whoever was not recognised as somebody enrolled was made unrecognisable for good."


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return SigningKey.open(tmp_path_factory.mktemp("key") / "signing.key")


def bundled(folder: Path, key: SigningKey, sighting: int, **chosen: bool) -> tuple[dict[str, bytes], str]:
    """The files of a bundle, which is genuine, and what the archive's log says of it."""
    path = folder.parent / f"{len(list(folder.parent.iterdir()))}.zip"
    with Archive.open(folder, actor="warden") as archive:
        wish = Export(sighting, "J. Doe", "request 7", before_s=0.0, after_s=0.0, **chosen)  # type: ignore[arg-type]
        make_bundle(archive, wish, path, key, "unvizard 9.9")
        detail = list(archive.audit.entries())[-1].detail
    assert verify_bundle(path).unaltered
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as bundle:
        return {name: bundle.read(name) for name in bundle.namelist()}, detail


def picture(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def detail(bgr: NDArray[np.uint8], box: list[float]) -> float:
    """How much differs from pixel to pixel inside a box: much on noise, next to nothing on what was hidden."""
    x1, y1, x2, y2 = (round(max(value, 0)) for value in box)
    return float(np.abs(np.diff(bgr[y1:y2, x1:x2].astype(np.float32), axis=1)).mean())


def stills(files: dict[str, bytes]) -> dict[str, NDArray[np.uint8]]:
    return {name: picture(data) for name, data in files.items() if name.startswith("stills/")}


def boxes(files: dict[str, bytes]) -> dict[int, list[tuple[list[float], list[float]]]]:
    """Of each annotated frame the boxes of the face and of who stands beside."""
    frames: list[dict[str, Any]] = json.loads(files["annotation.json"])["frames"]
    return {
        each["sequence"]: (each["face"]["box"], each["others"][0]["box"]) for each in frames if each["face"]
    }


def test_who_stands_beside_is_unrecognisable_on_the_stills_and_the_footage_is_left_out(
    tmp_path: Path, clip: Clip, key: SigningKey
) -> None:
    folder = tmp_path / "recordings"
    sighting = fill(folder, clip, key, strangers=(6,))
    plain, _ = bundled(folder, key, sighting)
    files, said = bundled(folder, key, sighting, blur_others=True)
    assert said == f"sighting {sighting}: request 7"
    assert [name for name in plain if name.startswith("footage/")]
    assert not [name for name in files if name.startswith("footage/")]
    assert set(stills(files)) == set(stills(plain)) and len(stills(files)) == 3
    first, *_, last = boxes(files).values()
    for name, (face, other) in zip(sorted(stills(files))[::2], (first, last), strict=True):
        hidden, seen = stills(files)[name], stills(plain)[name]
        assert detail(seen, other) > 10 and detail(hidden, other) < detail(seen, other) / 5
        x1, y1, x2, y2 = (round(value) for value in face)
        assert np.array_equal(hidden[y1:y2, x1:x2], seen[y1:y2, x1:x2]), "the one whom it is about"
    assert files["pictures/original.png"] == plain["pictures/original.png"]
    assert files["pictures/reconstruction.png"] == plain["pictures/reconstruction.png"]
    notes = json.loads(files["custody.json"])["notes"]
    left_out = "The footage was left out: it is kept as it was recorded, and everybody can be seen in it."
    assert notes == [NOTE, left_out]
    report = files["report.html"].decode()
    assert left_out in report and "made unrecognisable on them, for good" in report
    assert "not in the bundle" in report
    assert "made unrecognisable" not in plain["report.html"].decode()


def test_the_footage_is_handed_over_only_when_somebody_says_so_and_that_is_in_log_and_bundle(
    tmp_path: Path, clip: Clip, key: SigningKey
) -> None:
    folder = tmp_path / "recordings"
    sighting = fill(folder, clip, key, strangers=(6,))
    files, said = bundled(folder, key, sighting, blur_others=True, unblurred_footage=True)
    assert said == f"sighting {sighting}, with footage in which nobody is blurred: request 7"
    assert any(name.startswith(f"footage/{CAMERA}/") for name in files)
    assert (folder / "door/2026-09-21/one.mp4").read_bytes() == files["footage/door/2026-09-21/one.mp4"]
    notes = json.loads(files["custody.json"])["notes"]
    assert notes[0] == NOTE and notes[1].startswith(
        "The footage is as it was recorded: everybody can be seen"
    )


def test_of_somebody_nobody_recognised_there_is_no_face_in_the_bundle(
    tmp_path: Path, clip: Clip, key: SigningKey
) -> None:
    folder = tmp_path / "recordings"
    sighting = fill(folder, clip, key, strangers=(5, 6))
    plain, _ = bundled(folder, key, sighting)
    files, _ = bundled(folder, key, sighting, blur_others=True)
    kept = {name for name in files if name.startswith("pictures/")}
    assert kept == {"pictures/look.jpg"} and "pictures/original.png" in plain
    look, seen = picture(files["pictures/look.jpg"]), picture(plain["pictures/look.jpg"])
    everything = [0.0, 0.0, 128.0, 128.0]
    assert look.shape == seen.shape and detail(look, everything) < detail(seen, everything) / 3
    first, *_ = boxes(files).values()
    name = min(stills(files))
    for box in first:
        assert detail(stills(files)[name], box) < detail(stills(plain)[name], box) / 5
    assert "data:image/png" not in files["report.html"].decode(), "nor a cut of the face in the report"


def test_a_look_at_somebody_recognised_shows_the_face_and_nobody_around_it() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8)
    data = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    shown = veiled_picture("look", data, named=True)
    assert shown is not None
    middle, edge = [60.0, 60.0, 140.0, 140.0], [0.0, 0.0, 30.0, 200.0]
    assert detail(picture(shown), middle) > 0.9 * detail(picture(data), middle)
    assert detail(picture(shown), edge) < detail(picture(data), edge) / 5
    assert veiled_picture("original", data, named=True) == data
    assert veiled_picture("original", data, named=False) is None
    assert veiled_picture("look", b"no picture", named=True) is None
    assert shown_kinds(False, ("original", "look", "reconstruction")) == ("look",)
