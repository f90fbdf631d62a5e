"""The part of the workshop's process that judges whether pictures and clips are photographed, painted, or our own
reconstructions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from engines.backends import Engine
from engines.models import prepare
from engines.recognition.photo import Refused
from stream.authenticity import Judge, Verdict, networks_needed
from stream.chosen_engines import open_engines
from stream.config import Settings
from stream.web.looking import FaceJudged, Judged, Look

_TS_PACKET = 188
_HEAD = 3 * _TS_PACKET


class Judging:
    """Its network is opened for the first picture: most offices enrol far more than they judge."""

    def __init__(
        self, settings: Settings, opened: Mapping[str, Engine], progress: Callable[[float], None]
    ) -> None:
        """opened: engines that are open already. progress: told how much of a clip is done, 0..1."""
        self._settings, self._opened, self._progress = settings, dict(opened), progress
        self._judge: Judge | None = None

    def picture(self, data: bytes) -> Judged:
        """About a picture file's content. Raises Refused, ModelError, EngineError."""
        verdict = self._ready().judge(data)
        return _judged(verdict.conclusion, verdict, ())

    def clip(self, path: Path) -> Judged:
        """About a video file. Raises Refused, ModelError, EngineError."""
        _require_container(path)
        judge = self._ready()
        try:
            clip = judge.judge_clip(path, progress=self._progress)
        except Refused as refusal:  # the path is this machine's, and says nothing to whoever sent the file
            raise Refused(str(refusal).replace(f": '{path}'", "")) from None
        looks = tuple(Look(at, each.conclusion == "synthetic", each.probability) for at, each in clip.looks)
        return _judged(clip.conclusion, clip.looks[clip.best or 0][1], looks)

    def _ready(self) -> Judge:
        if self._judge is None:
            chosen = self._settings.engines
            missing = [name for name in networks_needed(self._settings) if name not in self._opened]
            self._opened |= open_engines(chosen, prepare(chosen.cache, missing))
            self._judge = Judge(self._settings, self._opened)
        return self._judge


def _judged(conclusion: str, verdict: Verdict, looks: tuple[Look, ...]) -> Judged:
    """verdict: about the picture, or the frame of a clip, that is shown."""
    faces = tuple(
        FaceJudged(face.probability, face.synthetic, face.masked, face.unfit, face.png, face.heat_png)
        for face in verdict.faces
    )
    mark = verdict.mark
    return Judged(
        conclusion,
        verdict.probability,
        faces,
        mark.marked,
        mark.watermarked,
        mark.unaltered,
        verdict.said,
        verdict.heat_png,
        looks,
    )


def _require_container(path: Path) -> None:
    """Raises Refused unless the file begins as a video does. Playlists and the like, which name other files and
    addresses, must never reach the demuxer.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise Refused(f"cannot be opened: {error.strerror}") from None
    matroska = head.startswith(b"\x1a\x45\xdf\xa3")
    mp4 = head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free")
    avi = head.startswith(b"RIFF") and head[8:12] == b"AVI "
    transport = len(head) == _HEAD and all(head[at] == 0x47 for at in range(0, _HEAD, _TS_PACKET))
    if not (matroska or mp4 or avi or transport):
        raise Refused("is not a video that can be read (MP4, MOV, MKV, WebM, AVI, MPEG-TS)")
