"""Cameras while a run is on: looked at before they are added, added, changed, taken out."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field

from stream.capture.address import redact
from stream.config import ConfigError
from stream.web.account import Account, Role
from stream.web.asking import account_of, office_of
from stream.web.camera_list import CameraList, CamerasFixed, page_address
from stream.web.settings_file import ChangedMeanwhile

router = APIRouter()

_PROBED_WITHIN_S = 20.0
Address = Annotated[str, Field(max_length=2000)]


class Asked(BaseModel):
    """A camera to look at. url: left out for one that there is: `camera` names it."""

    model_config = ConfigDict(extra="forbid")

    url: Address = ""
    camera: str = ""
    transport: Literal["tcp", "udp"] = "tcp"


class Changed(BaseModel):
    """url: left out, it stays as it is. recording: null is as recording.mode in the settings says."""

    model_config = ConfigDict(extra="forbid")

    url: Address = ""
    transport: Literal["tcp", "udp"] = "tcp"
    recording: Literal["off", "continuous", "events", "motion"] | None = None


class Added(Changed):
    """A new camera."""

    name: str


@router.get("/api/cameras")
def cameras(request: Request) -> dict[str, Any]:
    """The cameras that the account may see; addresses, without passwords, for those who may change them."""
    account, listed = account_of(request), _list(request)
    changes = listed.may_change and account.role.covers(Role.OPERATOR)
    return {
        "may_change": changes,
        "may_add": changes and account.cameras is None,
        "kept_in": listed.kept_in,
        "cameras": [
            {
                "name": camera.name,
                "url": redact(camera.url) if account.role.covers(Role.OPERATOR) else None,
                "transport": camera.transport,
                "recording": camera.recording,
                "recorded": office_of(request).settings.recording_mode(camera.name),
            }
            for camera in listed.all()
            if account.sees(camera.name)
        ],
    }


@router.post("/api/cameras", status_code=201)
def add(request: Request, wanted: Added) -> dict[str, str]:
    """Watch one more camera from now on; the others notice nothing."""
    _needs_all(account_of(request))
    if any(camera.name == wanted.name for camera in _list(request).all()):
        raise HTTPException(409, f"name: must be new, found {wanted.name!r}")
    return _changing(
        request, lambda of, who: of.add({**wanted.model_dump(), "url": page_address(wanted.url)}, who)
    )


@router.put("/api/cameras/{camera}")
def change(request: Request, camera: str, wanted: Changed) -> dict[str, str]:
    """Watch a camera at another address, or in another way."""
    values = wanted.model_dump(exclude={"url"})

    def apply(of: CameraList, who: Account) -> None:
        of.change(camera, {**values, "url": page_address(wanted.url)} if wanted.url else values, who)

    return _changing(request, apply)


@router.delete("/api/cameras/{camera}")
def remove(request: Request, camera: str) -> dict[str, str]:
    """Watch a camera no longer. What was recorded of it stays."""
    return _changing(request, lambda of, who: of.remove(camera, who))


@router.post("/api/cameras/probe")
async def probe(request: Request, asked: Asked) -> dict[str, Any]:
    """Look at a camera for a few seconds, in a process of its own: what it sends, and how soon. One at a time."""
    account, state = account_of(request), request.app.state
    if asked.url:
        _needs_all(account)
    elif not account.sees(asked.camera):
        raise HTTPException(403, "this account may not see that camera")
    try:
        url = page_address(asked.url) if asked.url else _list(request).camera(asked.camera).url
    except ConfigError as error:
        raise HTTPException(422, str(error)) from None
    except KeyError:
        raise HTTPException(404, "no camera of that name") from None
    if state.probing:
        raise HTTPException(429, "another camera is being looked at: try again in some seconds")
    state.probing = True
    try:
        return await _probed({"url": url, "transport": asked.transport})
    finally:
        state.probing = False


async def _probed(wanted: dict[str, str]) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream.capture.probe"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        said, _ = await asyncio.wait_for(
            process.communicate(json.dumps(wanted).encode() + b"\n"), _PROBED_WITHIN_S
        )
        found: dict[str, Any] = json.loads(said)
        return found
    except (TimeoutError, ValueError):
        raise HTTPException(504, "what it sends could not be made out") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _changing(request: Request, change: Any) -> dict[str, str]:
    listed = _list(request)
    try:
        change(listed, account_of(request))
    except KeyError:
        raise HTTPException(404, "no camera of that name") from None
    except ConfigError as error:
        raise HTTPException(422, redact(str(error)).removeprefix("cameras: ")) from None
    except (CamerasFixed, ChangedMeanwhile) as error:
        raise HTTPException(409, str(error)) from None
    except OSError as error:
        raise HTTPException(
            507, f"{listed.kept_in} cannot be written: {error.strerror}; nothing was changed"
        ) from None
    kept = (
        f"kept in {listed.kept_in}"
        if listed.kept_in
        else "kept until Unvizard stops: it runs without --config"
    )
    return {"detail": kept}


def _list(request: Request) -> CameraList:
    listed = request.app.state.cameras
    assert isinstance(listed, CameraList)
    return listed


def _needs_all(account: Account) -> None:
    if account.cameras is not None:
        raise HTTPException(403, "this account may see some cameras only, and so may add none")
