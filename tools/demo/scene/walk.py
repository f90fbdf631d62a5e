"""Who walks where in the demo clip: a list of passes, and the pose of a person at any time.

Time goes round: what leaves at the end of the clip is still leaving at its beginning, so the clip has no seam.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from tools.demo.scene.figures import BIDEN, COLLINS, OBAMA, Portrait, Pose
from tools.demo.scene.view import View

Costume = tuple[float, float, float]
Mask = tuple[str, int]
"""Kind, as engines.masks.synthesis.draw_mask takes it, and the seed of its cloth."""


@dataclass(frozen=True, slots=True)
class Role:
    """One crossing of the picture, as it is planned.

    faces: height of the face where the pass begins and ends, pixels of a 720-row frame.
    """

    portrait: Portrait
    mask: Mask | None
    costume: Costume | None
    faces: tuple[float, float]
    side: Literal["left", "right"]  # where the person comes in


@dataclass(frozen=True, slots=True)
class Pass:
    """A role with its details: metres, seconds, radians."""

    role: Role
    start: float
    duration: float
    x: tuple[float, float]
    z: tuple[float, float]
    tall: float  # height of the middle of the face
    linger: float  # 0 walks evenly; towards 1 nearly stops half-way
    stride: float  # steps a second
    phase: float
    glance: float  # how far the head turns from the way of walking

    def moment(self, time: float, period: float) -> float | None:
        """How much of the pass is over at a time, 0 to 1, or None when the person is not there."""
        passed = (time - self.start) % period
        return passed / self.duration if passed < self.duration else None


_GREY: Final = (104.0, 110.0, 120.0)
_BROWN: Final = (112.0, 90.0, 68.0)
_OLIVE: Final = (92.0, 98.0, 74.0)
_NAVY: Final = (62.0, 92.0, 150.0)
_TEAL: Final = (56.0, 120.0, 118.0)

ROLES: Final = (
    Role(OBAMA, None, None, (64, 84), "left"),
    Role(BIDEN, ("surgical", 1), _GREY, (100, 134), "right"),
    Role(COLLINS, None, None, (104, 132), "right"),
    Role(OBAMA, ("kn95", 1), None, (70, 86), "left"),
    Role(BIDEN, None, None, (62, 80), "right"),
    Role(COLLINS, ("cloth", 8), _NAVY, (66, 80), "right"),
    Role(OBAMA, None, _GREY, (100, 150), "left"),
    Role(BIDEN, ("cloth", 5), _BROWN, (66, 82), "right"),
    Role(COLLINS, ("surgical", 9), None, (104, 128), "right"),
    Role(OBAMA, ("surgical", 2), _OLIVE, (104, 160), "left"),
    Role(BIDEN, None, None, (70, 88), "right"),
    Role(COLLINS, None, _TEAL, (66, 78), "right"),
)
"""One after another; with the clip's end the list begins again. Each person always comes from the same side, so that
nobody meets themselves."""

_SHOULDERS: Final = 0.62
"""Metres from the middle of a person to where nothing of them is seen any more."""


def plan(view: View, seconds: float, rng: np.random.Generator) -> tuple[Pass, ...]:
    """The passes of a clip: one role every 1.7 seconds or so, each with its own pace."""
    count = max(3, round(seconds / 1.667))
    passes = []
    for n in range(count):
        role = ROLES[n % len(ROLES)]
        z0, z1 = (1400.0 * role.portrait.face_metres / face for face in role.faces)
        sign = -1.0 if role.side == "left" else 1.0
        # a little beyond the edge of the picture on the way in and out
        edge_in = (view.width if sign > 0 else 0) - view.centre
        edge_out = (0 if sign > 0 else view.width) - view.centre
        x0 = edge_in * z0 / view.focal + sign * _SHOULDERS
        x1 = edge_out * z1 / view.focal - sign * _SHOULDERS
        length = float(np.hypot(x1 - x0, z1 - z0))
        passes.append(
            Pass(
                role,
                start=(n + float(rng.uniform(-0.2, 0.2))) * seconds / count,
                duration=min(length / float(rng.uniform(0.54, 0.68)), seconds),
                x=(x0, x1),
                z=(z0, z1),
                tall=role.portrait.tall,
                linger=float(rng.uniform(0.1, 0.55)),
                stride=float(rng.uniform(1.5, 1.8)),
                phase=float(rng.uniform(0, 2 * np.pi)),
                glance=float(rng.uniform(0.12, 0.3)),
            )
        )
    return tuple(passes)


def pose(walker: Pass, moment: float) -> Pose:
    """Where a person is when `moment` (0 to 1) of the pass is over."""
    turn = 2 * np.pi * moment
    way = moment + walker.linger * np.sin(turn) / (2 * np.pi)
    pace = 1 + walker.linger * np.cos(turn)
    seconds = moment * walker.duration
    step = np.pi * walker.stride * seconds + walker.phase
    x = walker.x[0] + (walker.x[1] - walker.x[0]) * way + 0.018 * np.sin(step)
    z = walker.z[0] + (walker.z[1] - walker.z[0]) * way
    y = walker.tall + 0.016 * pace * np.cos(2 * step)
    heading = np.sign(walker.x[1] - walker.x[0])
    yaw = 0.16 * heading * pace + walker.glance * np.sin(1.5 * turn + walker.phase)
    roll = 0.022 * pace * np.sin(step) + 0.03 * np.sin(turn + walker.phase)
    return Pose(float(x), float(y), float(z), float(np.clip(yaw, -0.5, 0.5)), float(roll))
