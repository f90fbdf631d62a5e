"""The detector and the embedder, made once for all tests of recognition, and the committed pictures."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from engines.backends import Engine, open_engine
from engines.detection.mtcnn import MTCNN
from engines.models import prepare
from engines.recognition.embedder import SFace
from engines.recognition.evidence import EvidenceMaker

PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"
CACHE = Path.home() / ".cache" / "unvizard" / "engines"


@cache
def engine(name: str) -> Engine:
    return open_engine(prepare(CACHE, [name])[name], threads=1, cache=CACHE)


@cache
def detector() -> MTCNN:
    return MTCNN({name: engine(name) for name in ("pnet", "rnet", "onet")}, 24)


@cache
def embedder() -> SFace:
    return SFace(engine("sface"))


@cache
def evidence() -> EvidenceMaker:
    return EvidenceMaker(embedder(), SFace(engine("sface-masked")))
