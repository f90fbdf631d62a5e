"""Annotated recordings of a run: one file a camera."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from stream.exporter import Exporter

log = logging.getLogger(__name__)


class Recordings:
    """The first camera's recording has the name that was asked for, others have their camera's name added.

    One that cannot be written on (the disk is full) is given up with a note; the run goes on.
    """

    def __init__(self, cameras: tuple[str, ...], output: Path, note: Callable[[str], None]) -> None:
        self._note = note
        self._exporters: dict[str, Exporter] = {}
        for index, camera in enumerate(cameras):
            path = output if index == 0 else output.with_name(f"{output.stem}-{camera}{output.suffix}")
            self._exporters[camera] = Exporter(path)

    def write(self, camera: str, picture: NDArray[np.uint8], media_ns: int) -> None:
        """Add a picture, uint8 BGR [H, W, 3], to a camera's recording."""
        if exporter := self._exporters.get(camera):
            try:
                exporter.write(picture, media_ns)
            except (av.FFmpegError, OSError) as error:
                self._give_up(camera, exporter, error)

    def close(self) -> None:
        """Finish all files."""
        for camera, exporter in list(self._exporters.items()):
            try:
                exporter.close()
            except (av.FFmpegError, OSError) as error:
                self._give_up(camera, exporter, error)

    def _give_up(self, camera: str, exporter: Exporter, error: Exception) -> None:
        del self._exporters[camera]
        exporter.abandon()
        sentence = f"{exporter.path}: the annotated recording of {camera} was given up: {error}"
        log.error("%s", sentence)
        self._note(sentence)
