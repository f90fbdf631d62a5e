"""The application: every router behind the one gate."""

from __future__ import annotations

from fastapi import FastAPI, HTTPException, Response

from stream.display.security import ThisMachineOnly
from stream.web import (
    accounts_page,
    authenticity,
    awaiting,
    cameras,
    enrolment,
    evaluate,
    handing_over,
    health,
    journal_page,
    live,
    openapi,
    people,
    playback,
    resemblance,
    restarting,
    review,
    settings,
    sign_in,
)
from stream.web.asking import account_of, office_of
from stream.web.camera_list import CameraList
from stream.web.errors import answer_errors
from stream.web.gate import Doorkeeper, Gate
from stream.web.office import Office
from stream.web.overlay import Overlay
from stream.web.pages import TYPES, static_files
from stream.web.permissions import NEEDED
from stream.web.reception import Reception

__all__ = ["account_of", "create_app", "office_of"]


def create_app(office: Office, keeper: Doorkeeper) -> FastAPI:
    """The application over an office. Routers find it as `request.app.state.office`."""
    app = FastAPI(title="Unvizard", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.office, app.state.keeper, app.state.reception = office, keeper, Reception(office)
    app.state.overlay = Overlay(office.directory)
    app.state.cameras, app.state.probing = CameraList(office, None), False
    app.state.restart = restarting.Restart(office, None)
    app.add_middleware(Gate, routes=app.router.routes, needed=NEEDED, keeper=keeper)
    app.add_middleware(ThisMachineOnly, network=not office.settings.display.this_machine_only)
    answer_errors(app)

    @app.get("/static/{name}")
    def static_file(name: str) -> Response:
        content = static_files().get(name)
        if content is None or name.endswith(".html"):
            raise HTTPException(404, "no such file")
        return Response(content, media_type=TYPES[name[name.rindex(".") :]])

    @app.get("/healthz")
    def alive() -> dict[str, str]:
        return {"status": "ok"}

    for part in (
        accounts_page,
        authenticity,
        awaiting,
        cameras,
        enrolment,
        evaluate,
        handing_over,
        health,
        journal_page,
        live,
        openapi,
        people,
        playback,
        resemblance,
        restarting,
        review,
        settings,
        sign_in,
    ):
        app.router.routes.extend(part.router.routes)  # one by one, so that the gate sees the path of each
    return app
