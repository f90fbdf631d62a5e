"""Drawn masks: they must lie on the face, repeat for the same seed, and leave the rest of the picture alone."""

import numpy as np
import pytest

from engines.alignment import RECOGNITION_POINTS
from engines.masks.degradation import choose_degradation
from engines.masks.occluders import draw_occluder
from engines.masks.pose import estimate_pose
from engines.masks.synthesis import Kind, Wearing, draw_mask
from engines.masks.textures import Style


def a_face(scale: float = 2.0, yaw: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A skin-coloured picture and the landmarks of a face in its middle, turned by `yaw` radians."""
    size = int(140 * scale)
    picture = np.full((size, size, 3), (190, 150, 125), np.uint8)
    picture += np.random.default_rng(0).integers(0, 12, picture.shape, dtype=np.uint8)
    local = RECOGNITION_POINTS - [56, 0]
    depth = np.array([0, 0, 20, 12, 12])
    x = local[:, 0] * np.cos(yaw) + depth * np.sin(yaw)
    return picture, (np.stack([x + 70, local[:, 1] + 8], 1) * scale).astype(np.float32)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("scale", [0.5, 1.2, 4.0])
def test_a_mask_covers_nose_mouth_and_chin_but_no_eye_at_any_size(kind, scale):
    picture, points = a_face(scale)
    for seed in range(8):
        _, alpha = draw_mask(picture, points, np.random.default_rng(seed), kind=kind)
        at = [alpha[round(float(y)), round(float(x))] for x, y in points]
        chin = points[3:].mean(0) + [0, 20 * scale]
        assert at[0] == 0 and at[1] == 0
        assert min(at[2:]) > 0.99
        assert alpha[round(float(chin[1])), round(float(chin[0]))] > 0.99


def test_a_mask_worn_below_the_nose_shows_the_nose_and_one_on_the_chin_shows_the_mouth_too():
    picture, points = a_face()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        for wearing, bare in ((Wearing.BELOW_NOSE, [2]), (Wearing.CHIN, [2, 3, 4])):
            _, alpha = draw_mask(picture, points, rng, wearing=wearing)
            assert all(alpha[round(float(points[i][1])), round(float(points[i][0]))] < 0.01 for i in bare)
            assert (alpha > 0.5).mean() > 0.02


def test_the_same_seed_draws_the_same_mask_and_another_seed_another():
    picture, points = a_face()
    first, again, other = (draw_mask(picture, points, np.random.default_rng(s)) for s in (3, 3, 4))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_far_from_the_mask_no_pixel_changes_and_the_given_picture_is_not_touched():
    picture, points = a_face(3)
    before = picture.copy()
    masked, alpha = draw_mask(picture, points, np.random.default_rng(1))
    assert np.array_equal(picture, before)
    top = int(points[:2, 1].min()) - 30
    assert np.array_equal(masked[:top], picture[:top])
    assert alpha.dtype == np.float32 and alpha.min() == 0 and alpha.max() <= 1


@pytest.mark.parametrize("style", list(Style))
def test_every_style_can_be_asked_for(style):
    picture, points = a_face()
    masked, alpha = draw_mask(picture, points, np.random.default_rng(2), kind="cloth", style=style)
    assert np.abs(masked.astype(int) - picture)[alpha > 0.5].mean() > 5


@pytest.mark.parametrize("yaw", [-0.6, -0.3, 0.3, 0.6])
def test_on_a_turned_face_the_mask_moves_with_the_nose(yaw):
    picture, points = a_face(2, yaw)
    assert estimate_pose(points).yaw == pytest.approx(yaw, abs=0.08)
    _, alpha = draw_mask(picture, points, np.random.default_rng(5), kind="kn95")
    row = np.flatnonzero(alpha[round(float(points[2, 1])) + 8] > 0.5)
    left, right = points[2, 0] - row.min(), row.max() - points[2, 0]
    assert (left > 1.3 * right) if yaw > 0 else (right > 1.3 * left)


def test_a_face_at_the_edge_of_the_picture_or_outside_gets_what_fits():
    picture, points = a_face()
    for shift in ([-130, 0], [0, 200], [500, 500]):
        masked, alpha = draw_mask(picture, points + np.float32(shift), np.random.default_rng(0))
        assert masked.shape == picture.shape and alpha.shape == picture.shape[:2]


def test_a_mask_in_a_dark_picture_is_dark_and_in_an_infrared_picture_grey():
    picture, points = a_face()
    dark = (picture // 6).astype(np.uint8)
    grey = np.repeat(picture[..., :1], 3, 2)
    for seed in range(5):
        masked, alpha = draw_mask(dark, points, np.random.default_rng(seed))
        assert masked[alpha > 0.9].mean() < 90
        masked, alpha = draw_mask(grey, points, np.random.default_rng(seed), kind="cloth", style="plain")
        inside = masked[alpha > 0.95].astype(int)
        assert np.abs(inside[:, 0] - inside[:, 2]).mean() < 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "paper bag"}, "'paper bag' is not a valid Kind"),
        ({"style": "tartan"}, "'tartan' is not a valid Style"),
        ({"wearing": "sideways"}, "'sideways' is not a valid Wearing"),
    ],
)
def test_an_unknown_name_is_refused(arguments, message):
    picture, points = a_face()
    with pytest.raises(ValueError, match=message):
        draw_mask(picture, points, np.random.default_rng(0), **arguments)


def test_wrong_landmarks_and_pictures_are_refused_with_what_was_found():
    picture, points = a_face()
    with pytest.raises(ValueError, match=r"landmarks: the shape must be \(5, 2\), found \(3, 2\)"):
        draw_mask(picture, points[:3], np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"the eyes must be at least 1 pixel apart, found 0\.00"):
        draw_mask(picture, np.zeros((5, 2)), np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"picture: must be uint8 \[H, W, 3\], found float32"):
        draw_mask(picture.astype(np.float32), points, np.random.default_rng(0))


def test_degradations_keep_size_and_type_and_repeat_for_the_same_seed():
    picture, _ = a_face()
    for seed in range(40):
        camera = choose_degradation(np.random.default_rng(seed))
        assert camera == choose_degradation(np.random.default_rng(seed))
        exposed = camera.expose(picture)
        spoilt = camera.spoil(exposed, np.random.default_rng(seed))
        assert exposed.shape == spoilt.shape == picture.shape and spoilt.dtype == np.uint8
        assert np.array_equal(spoilt, camera.spoil(exposed, np.random.default_rng(seed)))


def test_occluders_stay_on_the_face_and_change_it():
    picture, points = a_face()
    for seed in range(30):
        shown = draw_occluder(picture, points, np.random.default_rng(seed))
        assert shown.shape == picture.shape and shown.dtype == np.uint8
        assert 0.002 < (np.abs(shown.astype(int) - picture).max(2) > 3).mean() < 0.5
