"""How close two pictures are where it counts."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def l1(a: NDArray[np.uint8], b: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    """Mean absolute difference in grey levels, over the pixels of a mask."""
    return float(np.abs(a[where].astype(np.float32) - b[where]).mean())


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    """Peak signal to noise ratio in dB over the pixels of a mask; 99 when they are equal."""
    error = float(((a[where].astype(np.float32) - b[where]) ** 2).mean())
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


def ssim(a: NDArray[np.uint8], b: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    """Structural similarity of the grey pictures, averaged over the pixels of a mask.

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004: Gaussian
    window of sigma 1.5.
    """
    x = cv2.cvtColor(a, cv2.COLOR_RGB2GRAY).astype(np.float32)
    y = cv2.cvtColor(b, cv2.COLOR_RGB2GRAY).astype(np.float32)

    def mean(picture: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.GaussianBlur(picture, (11, 11), 1.5), np.float32)

    mx, my = mean(x), mean(y)
    vx, vy, both = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    local = (2 * mx * my + c1) * (2 * both + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return float(local[where].mean())


def sharpness(picture: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    """Standard deviation of the Laplacian in grey levels over the pixels of a mask: low is blurred."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(cv2.Laplacian(grey, cv2.CV_32F)[where].std())


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks; 1 when both are empty."""
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 1.0
