"""Masks from photographs: template folders in the layout of MaskTheFace (github.com/aqeelanwar/MaskTheFace).

A folder holds `masks.cfg`, an INI file with one section a template: `template`, the path of an RGBA
picture relative to the folder above that of the file (`masks/templates/x.png`) or to the file's own, and six
points `mask_a` to `mask_f`: upper left, nose, upper right, lower left, chin, lower right. Sections that end
in `_left` and `_right` are the same mask for a head that is turned. A folder without `masks.cfg` holds RGBA
pictures of masks alone (FMA-3D's, github.com/Zjiangsan/FMA-3D); their points are taken from the box around them.
"""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.masks.pose import Pose, estimate_pose, front_depth, half_width

TURNED = np.radians(13)
"""Beyond this yaw the template for a turned head is used, as in MaskTheFace."""
_ANGLES = np.radians([-78, 0, 78, -66, 0, 66])
_IN_BOX = np.array([[0, 0.2], [0.5, 0], [1, 0.2], [0.06, 0.78], [0.5, 1], [0.94, 0.78]], np.float32)
_HEIGHTS = np.array([68.0, 57.0, 68.0, 101.0, 121.0, 101.0])


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """One mask. picture: uint8 RGBA. points: float32 [6, 2], pixels. turned: -1 left, 0 front, 1 right."""

    name: str
    picture: NDArray[np.uint8]
    points: NDArray[np.float32]
    turned: int


def read_templates(folder: Path) -> dict[str, list[Template]]:
    """The masks of a folder by name, each with the views it has.

    Raises ValueError when there is neither a masks.cfg nor a picture with an alpha channel, or an entry of the
    file lacks its picture, alpha channel or points.
    """
    found = sorted(folder.rglob("masks.cfg"))
    if not found:
        return _read_pictures(folder)
    config = configparser.ConfigParser()
    config.read(found[0], encoding="utf-8")
    masks: dict[str, list[Template]] = {}
    for section in config.sections():
        if not config[section].get("template"):  # MaskTheFace's [empty] holds nothing
            continue
        template = _read(found[0], section, config[section])
        name = section.removesuffix("_left").removesuffix("_right")
        masks.setdefault(name, []).append(template)
    return masks


def _read_pictures(folder: Path) -> dict[str, list[Template]]:
    masks: dict[str, list[Template]] = {}
    for path in sorted(folder.rglob("*.png")):
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
            continue
        rgba = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA), np.uint8)
        if 0.02 < (rgba[..., 3] > 128).mean() < 0.9:
            masks[path.stem] = [Template(path.stem, rgba, _outline_points(rgba[..., 3] > 128), 0)]
    if not masks:
        raise ValueError(f"{folder}: must hold a masks.cfg or RGBA pictures of masks, found neither")
    return masks


def _outline_points(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The six points of a mask, bool [H, W], from the box around it: the box of an ordinary mask's six points."""
    columns, rows = np.flatnonzero(inside.any(0)), np.flatnonzero(inside.any(1))
    corner = np.array([columns[0], rows[0]], np.float32)
    return corner + _IN_BOX * np.array([np.ptp(columns), np.ptp(rows)], np.float32)


def _read(config: Path, section: str, entry: configparser.SectionProxy) -> Template:
    written = entry.get("template", "")
    paths = [base / written for base in (config.parent, config.parent.parent)]
    path = next((p for p in paths if written and p.is_file()), None)
    if path is None:
        raise ValueError(f"{config}: [{section}] template must be a picture, found {written!r}")
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
        raise ValueError(f"{path}: must have an alpha channel, found none")
    try:
        points = [[float(v) for v in entry[f"mask_{letter}"].split(",")] for letter in "abcdef"]
    except (KeyError, ValueError) as error:
        raise ValueError(f"{config}: [{section}] must have mask_a to mask_f as 'x, y': {error}") from None
    turned = -1 if section.endswith("_left") else 1 if section.endswith("_right") else 0
    rgba = cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA)
    return Template(section, np.asarray(rgba, np.uint8), np.array(points, np.float32), turned)


def key_points(pose: Pose) -> NDArray[np.float32]:
    """Where a template's six points lie on a face, float32 [6, 2], pixels."""
    heights = _HEIGHTS.astype(np.float32)
    radius = half_width(heights, 121.5).astype(np.float64) + 1.0
    depth = front_depth(heights) - radius + radius * np.cos(_ANGLES)
    return pose.project(np.stack([radius * np.sin(_ANGLES), _HEIGHTS, depth], -1)).astype(np.float32)


def apply_template(
    picture: NDArray[np.uint8],
    landmarks: NDArray[np.floating],
    views: list[Template],
    rng: np.random.Generator | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A copy of a picture with a template's mask on one face, and its alpha: as synthesis.draw_mask.

    views: what read_templates gives for one name. rng: varies fit, colour and brightness; without it the mask is
    as it is. Raises ValueError when `views` is empty.
    """
    if not views:
        raise ValueError("views: must hold at least one template, found none")
    pose = estimate_pose(landmarks)
    wanted = 0 if abs(pose.yaw) < TURNED else int(np.sign(pose.yaw))
    view = next((v for v in views if v.turned == wanted), views[0])
    target = key_points(pose)
    if rng is not None:
        target = target + rng.normal(0, 1.8 * pose.scale, target.shape).astype(np.float32)
    homography, _ = cv2.findHomography(view.points, target)
    if homography is None:
        return picture.copy(), np.zeros(picture.shape[:2], np.float32)
    size = picture.shape[1::-1]
    shrink = float(np.ptp(view.points[:, 0])) / max(float(np.ptp(key_points(pose)[:, 0])), 1.0)
    rgba = view.picture if rng is None else _recoloured(view.picture, rng)
    if shrink > 1.5:  # the template is larger than the face: average it first, so that it does not alias
        rgba = cv2.GaussianBlur(rgba, (0, 0), 0.4 * shrink)
    warped = cv2.warpPerspective(rgba, homography, size, flags=cv2.INTER_LINEAR).astype(np.float32)
    alpha = warped[..., 3] / 255
    covered = alpha > 0.5
    under = picture[covered].astype(np.float32).mean() if covered.any() else 128.0
    light = float(np.clip((np.percentile(picture, 90) / 220 + under / 150) / 2, 0.2, 1.1))
    mixed = picture * (1 - alpha[..., None]) + warped[..., :3] * light * alpha[..., None]
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8), alpha


def _recoloured(rgba: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The same mask of another dye."""
    hsv = cv2.cvtColor(rgba[..., :3], cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(0, 180)) % 180
    hsv[..., 1] = hsv[..., 1] * rng.uniform(0.2, 1.4) + rng.uniform(0, 70) * (rng.random() < 0.3)
    hsv[..., 2] = 255 * (hsv[..., 2] / 255) ** rng.uniform(0.6, 2.2)
    colour = cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB)
    return np.dstack([colour, rgba[..., 3]])
