"""Who uses the web application, and what each role may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

LOCAL = "local"
"""Who asks where nobody needs to sign in (accounts.sign_in: false); no account may have this name."""


class Role(StrEnum):
    """Each role may do what the ones before it may, and more."""

    VIEWER = "viewer"  # looks at the live cameras
    OPERATOR = "operator"  # enrols people, adds cameras, answers for what is shown
    REVIEWER = "reviewer"  # searches what was recorded, confirms, exports
    ADMINISTRATOR = "administrator"  # accounts, settings, the log

    def covers(self, needed: Role) -> bool:
        """Whether this role may do what `needed` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Account:
    """Who asks. cameras: the names of those that may be seen; None for all. must_change: signed in with a password that
    somebody else chose, and so may do nothing before changing it.
    """

    name: str
    role: Role
    cameras: frozenset[str] | None = None
    must_change: bool = False

    def sees(self, camera: str) -> bool:
        """Whether this account may see a camera and what was seen on it."""
        return self.cameras is None or camera in self.cameras
