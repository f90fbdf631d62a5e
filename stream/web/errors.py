"""What goes wrong, as answers: {"detail": sentence} with a fitting status."""

from __future__ import annotations

import math

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from engines.recognition.gallery import GalleryError
from stream.archive.archive import ArchiveError
from stream.web.accounts import AccountError
from stream.web.reception import TooMany
from stream.web.store import StoreError


def answer_errors(app: FastAPI) -> None:
    """Have an application answer the errors that handlers let through."""

    @app.exception_handler(AccountError)
    def bad_request(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 422)

    @app.exception_handler(TooMany)
    def later(_: Request, error: TooMany) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 429, {"retry-after": f"{math.ceil(error.after_s)}"})

    @app.exception_handler(ArchiveError)
    @app.exception_handler(GalleryError)
    @app.exception_handler(StoreError)
    def unavailable(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 503)
