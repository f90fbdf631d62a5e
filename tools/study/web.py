"""The page of the study and what it asks for. It serves this machine only, like the live page."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from fastapi import FastAPI, Request, Response
from starlette.responses import JSONResponse, PlainTextResponse

from stream.display.security import ThisMachineOnly
from tools.study.store import Asked, Store, StudyError

SHOWN = 256
_TYPES = {
    "study.html": "text/html",
    "study.css": "text/css",
    "study.js": "text/javascript",
    "study.svg": "image/svg+xml",
}


def choose(
    real: Sequence[Path], fake: Sequence[Path], count: int, rng: np.random.Generator
) -> list[tuple[Path, bool]]:
    """`count` pictures in random order, each drawn with even chance from either kind, none of them twice."""
    kinds = rng.random(count) < 0.5
    fakes = int(np.clip(kinds.sum(), max(0, count - len(real)), min(count, len(fake))))
    picked = [(real[int(i)], False) for i in rng.choice(len(real), count - fakes, replace=False)]
    picked += [(fake[int(i)], True) for i in rng.choice(len(fake), fakes, replace=False)]
    return [picked[int(i)] for i in rng.permutation(count)]


def create_app(real: Sequence[Path], fake: Sequence[Path], count: int, store: Store) -> FastAPI:
    """The application. real, fake: picture files; count: pictures of a sitting."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(ThisMachineOnly)
    by_name = {
        f"{kind}/{path.name}": path for kind, paths in (("real", real), ("fake", fake)) for path in paths
    }
    rng = np.random.default_rng()

    @app.get("/")
    def page() -> Response:
        return _static("study.html")

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        return _static(name) if name in _TYPES else PlainTextResponse("no such file", 404)

    @app.post("/sittings")
    def begin() -> Response:
        sitting = secrets.token_urlsafe(9)
        chosen = choose(real, fake, count, rng)
        store.begin(
            sitting, [Asked(f"{'fake' if is_fake else 'real'}/{p.name}", is_fake) for p, is_fake in chosen]
        )
        return JSONResponse({"sitting": sitting, "pictures": count})

    @app.get("/sittings/{sitting}/{number}.png")
    def picture(sitting: str, number: int) -> Response:
        try:
            asked = store.picture(sitting, number)
        except StudyError as error:
            return PlainTextResponse(str(error), 404)
        return Response(_shown(by_name[asked.file]), media_type="image/png")

    @app.post("/sittings/{sitting}/{number}")
    async def answer(sitting: str, number: int, request: Request) -> Response:
        try:
            said = json.loads(await request.body())["said"]
            if said not in ("photograph", "reconstruction"):
                raise StudyError(f'said: must be "photograph" or "reconstruction", found {said!r}')
            right = store.answer(sitting, number, said == "reconstruction")
        except (StudyError, KeyError, TypeError, ValueError) as error:
            return PlainTextResponse(str(error), 400)
        return JSONResponse({"right": right})

    @app.get("/results.json")
    def results() -> Response:
        return JSONResponse(store.results())

    @app.get("/results.csv")
    def export() -> Response:
        return PlainTextResponse(store.export(), media_type="text/csv")

    return app


def _static(name: str) -> Response:
    content = (files("tools.study") / "static" / name).read_bytes()
    return Response(content, media_type=_TYPES[name])


def _shown(path: Path) -> bytes:
    """A picture without anything that tells its kind: one size, no metadata, pixels only."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return cv2.imencode(".png", cv2.resize(picture, (SHOWN, SHOWN), interpolation=cv2.INTER_CUBIC))[
        1
    ].tobytes()
