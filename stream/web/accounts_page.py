"""The accounts and API keys: the page, and what it asks for. Administrators only."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from stream.web import passwords
from stream.web.account import Role
from stream.web.accounts import Member
from stream.web.asking import account_of, office_of
from stream.web.keys import ApiKey
from stream.web.pages import respond
from stream.web.sign_in import with_session

router = APIRouter()

Cameras = Annotated[list[str] | None, Field(max_length=1000)]


class Rights(BaseModel):
    """What an account or a key may do. cameras: names; null for all."""

    model_config = ConfigDict(extra="forbid")

    role: Role
    cameras: Cameras = None


class NewAccount(Rights):
    """An account to be made. password: null has one generated, which is in the answer; either must be changed at the
    first sign-in.
    """

    name: str
    password: str | None = None


class NewPassword(BaseModel):
    """null has one generated, which is in the answer. Another's must be changed at the next sign-in."""

    model_config = ConfigDict(extra="forbid")

    password: str | None = None


class NewKey(Rights):
    """An API key to be made. account: the id of the account in whose name it acts; null for who asks."""

    label: str
    account: str | None = None


@router.get("/accounts")
def page(request: Request) -> Response:
    """The page."""
    return respond("accounts", account_of(request))


@router.get("/api/accounts")
def accounts(request: Request) -> dict[str, Any]:
    """Everybody, every key, and the cameras that there are."""
    office = office_of(request)
    return {
        "accounts": [_told(request, member) for member in office.accounts.all()],
        "keys": [_told_key(key) for key in office.keys.all()],
        "cameras": [camera.name for camera in office.settings.cameras],
        "roles": list(Role),
    }


@router.post("/api/accounts", status_code=201)
def add(request: Request, wanted: NewAccount) -> dict[str, Any]:
    """Make an account."""
    password = wanted.password or passwords.generate()
    member = office_of(request).accounts.add(
        wanted.name, wanted.role, wanted.cameras, password, account_of(request), wanted.password is None
    )
    return {"account": _told(request, member), "password": None if wanted.password else password}


@router.put("/api/accounts/{account}")
def change(request: Request, account: str, wanted: Rights) -> Response:
    """Give an account another role or other cameras. Its sessions end, or, where it is who asks, begin anew."""
    old = _member(request, account)
    new = office_of(request).accounts.change(
        old.account.name, wanted.role, wanted.cameras, account_of(request)
    )
    return _renewed(request, new, JSONResponse(_told(request, new)))


@router.delete("/api/accounts/{account}")
def remove(request: Request, account: str) -> dict[str, str]:
    """Remove an account with its sessions and keys."""
    member = _member(request, account)
    office_of(request).accounts.remove(member.account.name, account_of(request))
    return {"removed": member.account.name}


@router.post("/api/accounts/{account}/password")
def reset_password(request: Request, account: str, wanted: NewPassword) -> Response:
    """Give an account another password. Its sessions end."""
    member, password = _member(request, account), wanted.password or passwords.generate()
    generated = wanted.password is None
    office_of(request).accounts.set_password(member.account.name, password, account_of(request), generated)
    return _renewed(request, member, JSONResponse({"password": password if generated else None}))


@router.post("/api/accounts/{account}/sign-out")
def sign_out(request: Request, account: str) -> dict[str, int]:
    """End all sessions of an account."""
    member, office = _member(request, account), office_of(request)
    ended = office.sessions.end_all(member.id)
    office.journal.write(
        account_of(request), "signed out everywhere", f"{member.account.name}: {ended} sessions"
    )
    return {"ended": ended}


@router.post("/api/keys", status_code=201)
def add_key(request: Request, wanted: NewKey) -> dict[str, Any]:
    """Make an API key; its token is in this answer and nowhere else."""
    office, asks = office_of(request), account_of(request)
    owner = _member(request, wanted.account) if wanted.account else office.accounts.find(asks.name)
    if owner is None:
        raise HTTPException(422, f"account: must be the id of one, for {asks.name!r} is none")
    key, token = office.keys.add(wanted.label, owner, wanted.role, wanted.cameras, asks)
    return {"key": _told_key(key), "token": token}


@router.delete("/api/keys/{key}")
def revoke_key(request: Request, key: str) -> dict[str, str]:
    """End an API key."""
    office_of(request).keys.revoke(key, account_of(request))
    return {"revoked": key}


def _member(request: Request, identity: str) -> Member:
    found = office_of(request).accounts.get(identity)
    if found is None:
        raise HTTPException(404, f"account: must be the id of one, found {identity!r}")
    return found


def _renewed(request: Request, member: Member, answer: Response) -> Response:
    """The answer; with a new session where it is one's own account whose sessions have ended."""
    return (
        with_session(request, member, answer) if member.account.name == account_of(request).name else answer
    )


def _told(request: Request, member: Member) -> dict[str, Any]:
    account = member.account
    return {
        "id": member.id,
        "name": account.name,
        "role": account.role,
        "cameras": None if account.cameras is None else sorted(account.cameras),
        "generated_password": member.generated,
        "must_change_password": member.must_change,
        "since_wall_ns": member.since_wall_ns,
        "sessions": len(office_of(request).sessions.of(member.id)),
        "self": account.name == account_of(request).name,
    }


def _told_key(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "label": key.label,
        "account": key.owner,
        "role": key.role,
        "cameras": None if key.cameras is None else sorted(key.cameras),
        "since_wall_ns": key.since_wall_ns,
        "used_wall_ns": key.used_wall_ns,
    }
