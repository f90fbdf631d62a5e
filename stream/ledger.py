"""Where every frame of every camera went: captured = shown + skipped by reason, exactly and at all times.

Frames of a camera are numbered from 1 without a gap, so a frame that reaches the overlay tells of all the frames
before it: those that a stage said it skipped are booked under its reason, and those that nobody spoke of were in
the hands of a stage that died. The books are saved after every turn of the overlay, so that the rule holds over
its own death too.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)

STAGE_DOWN = "stage_down"
IN_FLIGHT = "in_flight"
IN_FLIGHT_AT_STOP = "in_flight_at_stop"


class Account(msgspec.Struct):
    """The frames of one camera. settled = shown + everything skipped."""

    captured: int = 0  # the newest frame that was heard of
    settled: int = 0  # up to this one, every frame is booked
    processed: int = 0  # came back from inference with a result
    shown: int = 0
    skipped: dict[str, int] = msgspec.field(default_factory=dict)

    def frames(self, final: bool) -> dict[str, object]:
        """The account as the report has it. Frames that are still on their way are skipped ones when it is final."""
        skipped = dict(self.skipped)
        if self.captured > self.settled:
            skipped[IN_FLIGHT_AT_STOP if final else IN_FLIGHT] = self.captured - self.settled
        return {
            "captured": self.captured,
            "processed": self.processed,
            "shown": self.shown,
            "skipped": dict(sorted(skipped.items())),
        }


class Ledger:
    """The accounts of all cameras, kept in a file that a later process can go on with."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._accounts: dict[str, Account] = {}
        self._saved = True
        self.resumed = path.exists()
        """Whether an overlay before this one kept these books and died."""
        if self.resumed:
            try:
                self._accounts = msgspec.json.decode(path.read_bytes(), type=dict[str, Account])
            except msgspec.MsgspecError as error:
                log.error("%s: the frame accounts cannot be read and begin anew: %s", path.name, error)

    def account(self, camera: str) -> Account:
        """The account of a camera."""
        return self._accounts.setdefault(camera, Account())

    def captured(self, camera: str, count: int) -> None:
        """A camera says how many frames it has captured in all."""
        account = self.account(camera)
        if count > account.captured:
            account.captured = count
            self._saved = False

    def settle(
        self, camera: str, sequence: int, passed_over: Mapping[str, int], skipped: str | None = None
    ) -> bool:
        """Book the frame `sequence`, which came back from inference, and all frames before it.

        passed_over: what the stages said of the frames before it, by reason. skipped: why this frame itself was
        not shown; None when it was. Returns False, and books nothing, when the frame had been booked before.
        """
        account = self.account(camera)
        gap = sequence - account.settled - 1
        if gap < 0:
            return False
        for reason, count in passed_over.items():
            taken = max(0, min(count, gap))
            _add(account, reason, taken)
            gap -= taken
        _add(account, STAGE_DOWN, gap)
        account.processed += 1
        if skipped is None:
            account.shown += 1
        else:
            _add(account, skipped, 1)
        account.settled = sequence
        account.captured = max(account.captured, sequence)
        self._saved = False
        return True

    def save(self) -> None:
        """Put what has changed into the file. It is replaced whole, so that it is never half written."""
        if not self._saved:
            write_whole(self._path, msgspec.json.encode(self._accounts))
            self._saved = True


def _add(account: Account, reason: str, count: int) -> None:
    if count > 0:
        account.skipped[reason] = account.skipped.get(reason, 0) + count


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file by another, so that a reader (or a kill) finds the old one or the new one."""
    part = path.with_name(path.name + ".part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb", closefd=False) as file:
            file.write(content)
    finally:
        os.close(handle)
    os.replace(part, path)
