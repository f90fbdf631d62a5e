"""What programs may ask, as OpenAPI, made from the same routes and the same table of permissions as the pages go by."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

import stream
from stream.web.account import Role
from stream.web.permissions import NEEDED

router = APIRouter(tags=["about"])

_FOR_PROGRAMS = ("/api/", "/healthz", "/readyz", "/metrics")
_SAID = (
    "Everything that the pages do. Programs send an API key, which an administrator makes on the page of accounts, as "
    "`Authorization: Bearer KEY`. `x-role` of an operation is the least role that may ask for it. An account, or a "
    'key, may be limited to some cameras: lists then leave out the others. An error is `{"detail": sentence}`.'
)


@router.get("/api/openapi.json")
def openapi(request: Request) -> dict[str, Any]:
    """This description."""
    return document(request.app)


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of an application."""
    shown = [
        route
        for route in app.router.routes
        if isinstance(route, APIRoute)
        and route.path.startswith(_FOR_PROGRAMS)
        and not route.path.startswith("/api/sign-in")
    ]
    made = get_openapi(title="Unvizard", version=stream.__version__, description=_SAID, routes=shown)
    made.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            _permitted(operation, NEEDED.get(f"{method.upper()} {path}"))
    return made


def _permitted(operation: dict[str, Any], role: Role | None) -> None:
    """Write into an operation who may ask for it."""
    operation["x-role"] = role and role.value
    operation["security"] = [{"key": []}] if role else []
    if role:
        refusals = {
            "401": "No account: sign in, or send a key.",
            "403": f"Needs the role {role}, or another camera.",
        }
        operation["responses"] |= {status: {"description": said} for status, said in refusals.items()}
