"""Template folders in MaskTheFace's layout, made here so that the tests need no data."""

import cv2
import numpy as np
import pytest

from engines.alignment import RECOGNITION_POINTS
from engines.masks.templates import apply_template, read_templates

POINTS = "mask_a: 10, 20\nmask_b: 60, 8\nmask_c: 110, 20\nmask_d: 20, 70\nmask_e: 60, 96\nmask_f: 100, 70\n"


def write_folder(folder, sections):
    (folder / "masks" / "templates").mkdir(parents=True)
    picture = np.zeros((100, 120, 4), np.uint8)
    cv2.fillPoly(
        picture, [np.array([[8, 18], [60, 6], [112, 18], [102, 72], [60, 98], [18, 72]])], (200, 120, 40, 255)
    )
    cv2.imwrite(str(folder / "masks" / "templates" / "blue.png"), picture)
    (folder / "masks" / "masks.cfg").write_text("\n".join(sections))


def test_a_template_is_found_with_its_turned_views_and_covers_the_mouth(tmp_path):
    entry = "template: masks/templates/blue.png\n" + POINTS
    write_folder(tmp_path, [f"[blue]\n{entry}", f"[blue_left]\n{entry}", "[empty]\nmask_a: 1, 1"])
    masks = read_templates(tmp_path)
    assert {name: [v.turned for v in views] for name, views in masks.items()} == {"blue": [0, -1]}
    picture = np.full((224, 224, 3), 180, np.uint8)
    masked, alpha = apply_template(picture, RECOGNITION_POINTS * 2, masks["blue"])
    assert alpha[184, 112] == 1 and alpha[103, 76] == 0
    r, g, b = masked[184, 112].astype(int)
    assert b > g > r


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("[a]\ntemplate: masks/templates/none.png\n" + POINTS, r"\[a\] template must be a picture, found"),
        (
            "[a]\ntemplate: masks/templates/blue.png\nmask_a: 1, 2",
            r"\[a\] must have mask_a to mask_f as 'x, y'",
        ),
        (
            "[a]\ntemplate: masks/templates/blue.png\n" + POINTS.replace("8", "eight"),
            r"\[a\] must have mask_a",
        ),
    ],
)
def test_a_wrong_entry_is_named(tmp_path, section, message):
    write_folder(tmp_path, [section])
    with pytest.raises(ValueError, match=message):
        read_templates(tmp_path)


def test_pictures_without_a_list_are_fitted_by_the_box_around_them(tmp_path):
    write_folder(tmp_path, [])
    (tmp_path / "masks" / "masks.cfg").unlink()
    cv2.imwrite(str(tmp_path / "opaque.png"), np.zeros((9, 9, 3), np.uint8))
    masks = read_templates(tmp_path)
    assert list(masks) == ["blue"]
    face = np.full((224, 224, 3), 180, np.uint8)
    _, plain = apply_template(face, RECOGNITION_POINTS * 2, masks["blue"])
    assert plain[184, 112] == 1 and plain[103, 76] == 0
    varied = [
        apply_template(face, RECOGNITION_POINTS * 2, masks["blue"], np.random.default_rng(seed))
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(varied[0][0], varied[1][0])
    assert not np.array_equal(varied[0][0], varied[2][0])
    assert all(alpha[184, 112] > 0.9 for _, alpha in varied)


def test_a_folder_without_masks_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must hold a masks\.cfg or RGBA pictures of masks, found neither"):
        read_templates(tmp_path)
