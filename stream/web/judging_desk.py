"""Pictures and clips on their way to being judged: how many at once, and how far the clips are."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from stream.web.account import Account
from stream.web.looking import Judged
from stream.web.workshop import Workshop, WorkshopBusy

_MOST_PICTURES, _MOST_CLIPS = 8, 2


class JudgingDesk:
    """One an office. Threads may share it. Nothing that was sent is kept."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._pictures = threading.BoundedSemaphore(_MOST_PICTURES)
        self._clips = threading.BoundedSemaphore(_MOST_CLIPS)
        self._shares: dict[tuple[str, str], float] = {}

    @contextmanager
    def uploading(self, clip: bool = False) -> Iterator[None]:
        """While a file is being sent and judged: so many at once, that their bytes find room. Raises WorkshopBusy."""
        places = self._clips if clip else self._pictures
        if not places.acquire(blocking=False):
            raise WorkshopBusy("too many files are being judged at once: try again in a moment")
        try:
            yield
        finally:
            places.release()

    def judge(self, picture: bytes) -> Judged:
        """About a picture. Raises Refused, WorkshopError."""
        return self._workshop.judge(picture)

    def judge_clip(self, account: Account, watch: str, file: BinaryIO) -> Judged:
        """About a clip in an open file, with or without a name. watch: what the account will call it when it asks for
        its progress; empty where it will not. Raises Refused, WorkshopError.
        """
        key = account.name, watch

        def progress(share: float) -> None:
            if watch:
                self._shares[key] = share

        file.flush()
        try:
            progress(0.0)
            return self._workshop.judge_clip(Path(f"/proc/{os.getpid()}/fd/{file.fileno()}"), progress)
        finally:
            self._shares.pop(key, None)

    def progress(self, account: Account, watch: str) -> float | None:
        """The share of a clip that is done, 0..1; None when it is not being judged."""
        return self._shares.get((account.name, watch))
