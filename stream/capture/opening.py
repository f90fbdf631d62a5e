"""From a camera's settings to its open source."""

from __future__ import annotations

from stream.capture.address import SourceKind, source_kind
from stream.capture.av_source import AvSource
from stream.capture.file import FileSource
from stream.capture.rtsp_source import RtspSource
from stream.capture.source import Alive, BeyondReader, Sink, Source, SourceRefused
from stream.capture.webcam import WebcamSource
from stream.config import Camera


class Opener:
    """Opens one camera, webcam or recording, again and again.

    The reader "auto" takes the RTP reader, and FFmpeg's for streams which that one cannot read; it remembers so,
    because some servers need a moment between two connections. paced: see FileSource. sink: gets the access units.
    """

    def __init__(self, camera: Camera, alive: Alive, paced: bool = True, sink: Sink | None = None) -> None:
        self._camera, self._alive, self._paced, self._sink = camera, alive, paced, sink
        self._kind = source_kind(camera.url)
        self._beyond = camera.reader == "av"

    def open(self, skip: int = 0) -> Source:
        """The open source. skip: see FileSource. Raises SourceLost, SourceRefused and their kinds, Stopped."""
        match self._kind:
            case SourceKind.FILE:
                return FileSource(self._camera.url, self._alive, self._paced, skip, self._sink)
            case SourceKind.WEBCAM:
                return WebcamSource(self._camera.url, self._alive, self._sink)
        if not self._beyond:
            try:
                return RtspSource(self._camera, self._alive, self._sink)
            except BeyondReader:
                if self._camera.reader == "rtp":
                    raise
                self._beyond = True
        try:
            return AvSource(self._camera, self._alive, self._sink)
        except SourceRefused:
            self._beyond = self._camera.reader == "av"
            raise
