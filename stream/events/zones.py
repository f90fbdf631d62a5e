"""Where a face stands in the picture, and whether that is inside a zone drawn on it."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float]


def foot_point(box: tuple[float, float, float, float], width: int, height: int) -> Point:
    """The bottom centre of a face's box (x1, y1, x2, y2, pixels), as shares of the picture's width and height.

    A face cut off by the picture's edge stands on the edge.
    """
    x, y = (box[0] + box[2]) / 2 / width, box[3] / height
    return min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)


def inside(point: Point, corners: Sequence[Point]) -> bool:
    """Whether a point lies in a polygon, by the even-odd rule; its edges and corners belong to it."""
    x, y = point
    odd = False
    for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]], strict=True):
        cross = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
        if cross == 0 and min(x1, x2) <= x <= max(x1, x2) and min(y1, y2) <= y <= max(y1, y2):
            return True
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
            odd = not odd
    return odd
