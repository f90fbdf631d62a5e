"""From a camera's settings to its open source."""

from __future__ import annotations

from stream.capture.address import SourceKind, source_kind
from stream.capture.av_source import AvSource
from stream.capture.file import FileSource
from stream.capture.rtsp_source import RtspSource
from stream.capture.source import Alive, BeyondReader, Source
from stream.capture.webcam import WebcamSource
from stream.config import Camera


def open_source(camera: Camera, alive: Alive, paced: bool = True, skip: int = 0) -> Source:
    """Open a camera, a webcam or a recording; paced and skip are for recordings (see FileSource).

    The reader "auto" takes the RTP reader, and FFmpeg's for streams which that one cannot read. Raises SourceLost,
    SourceRefused and their kinds, Stopped.
    """
    match source_kind(camera.url):
        case SourceKind.FILE:
            return FileSource(camera.url, alive, paced, skip)
        case SourceKind.WEBCAM:
            return WebcamSource(camera.url, alive)
    if camera.reader == "av":
        return AvSource(camera, alive)
    try:
        return RtspSource(camera, alive)
    except BeyondReader:
        if camera.reader == "rtp":
            raise
        return AvSource(camera, alive)
