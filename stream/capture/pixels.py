"""Decoded frames into the one form in which pictures travel: I420."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray


def to_i420(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """The frame as uint8 [height * 3 / 2, width]: 8 bits, 4:2:0, limited range.

    An odd last row or column is cut off. Other formats and full range are converted. Raises ValueError for frames
    of less than 2 x 2 pixels.
    """
    if frame.format.name != "yuv420p" or frame.color_range == 2:  # 2: full range ("JPEG")
        frame = frame.reformat(format="yuv420p", dst_color_range="MPEG")
    width, height = frame.width // 2 * 2, frame.height // 2 * 2
    if not width or not height:
        raise ValueError(f"a picture must have at least 2 x 2 pixels, found {frame.width} x {frame.height}")
    picture = np.empty((height * 3 // 2, width), np.uint8)
    picture[:height] = _plane(frame, 0)[:height, :width]
    # The chroma planes have half the rows and columns; as rows of the picture's width, two of theirs make one.
    chroma = picture[height:].reshape(2, height // 2, width // 2)
    for number in (1, 2):
        chroma[number - 1] = _plane(frame, number)[: height // 2, : width // 2]
    return picture


def turned(picture: NDArray[np.uint8], degrees: int) -> NDArray[np.uint8]:
    """An I420 picture turned counter-clockwise by a multiple of 90 degrees."""
    turns = round(degrees / 90) % 4
    if not turns:
        return picture
    width, height = picture.shape[1], picture.shape[0] * 2 // 3
    planes = [picture[:height], *picture[height:].reshape(2, height // 2, width // 2)]
    return np.concatenate([np.rot90(plane, turns).ravel() for plane in planes]).reshape(
        (width * 3 // 2, height) if turns % 2 else picture.shape
    )


def _plane(frame: av.VideoFrame, number: int) -> NDArray[np.uint8]:
    plane = frame.planes[number]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
        : plane.height, : plane.width
    ]
