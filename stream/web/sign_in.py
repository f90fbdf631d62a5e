"""Signing in and out, and what everybody may do with their own account."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import msgspec
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from stream.web.accounts import Member
from stream.web.asking import account_of, office_of
from stream.web.keeper import WhoSignedIn
from stream.web.office import Office
from stream.web.pages import respond
from stream.web.reception import Reception
from stream.web.small_body import small_body

router = APIRouter()


class NameAndPassword(msgspec.Struct, forbid_unknown_fields=True):
    """What the sign-in page sends."""

    name: str
    password: str


class Once(msgspec.Struct, forbid_unknown_fields=True):
    """What a one-time link sends."""

    token: str


class NewPassword(msgspec.Struct, forbid_unknown_fields=True):
    """The password that is, and the one that shall be."""

    old: str
    new: str


@router.get("/sign-in")
def page(request: Request) -> Response:
    """The page to sign in at."""
    if not isinstance(request.app.state.keeper, WhoSignedIn):
        return RedirectResponse("/", 303)
    return respond("sign-in", None)


@router.post("/api/sign-in")
async def sign_in(request: Request) -> Response:
    """Sign in by name and password; the answer sets the session's cookie, and says whether the password, which somebody
    else chose, must be changed before anything else.
    """
    _keeper(request)
    given = await small_body(request, NameAndPassword)
    member = await _reception(request).member(given.name, given.password, _peer(request))
    if member is None:
        raise HTTPException(401, "name or password is wrong")
    return await _begun(request, member, by_link=False)


@router.post("/api/sign-in/once")
async def sign_in_once(request: Request) -> Response:
    """Sign in by the token of a one-time link. It used no password, and so asks nobody to change one."""
    _keeper(request)
    given = await small_body(request, Once)
    member = await _reception(request).slowly(partial(office_of(request).sessions.redeem, given.token))
    if member is None:
        raise HTTPException(401, "this link was used already, or is too old; the next start prints another")
    return await _begun(request, member, by_link=True)


@router.post("/api/sign-out")
def sign_out(request: Request) -> Response:
    """End this session."""
    keeper, office = _keeper(request), office_of(request)
    answer = JSONResponse({"signed_in": False})
    if token := request.cookies.get(keeper.cookie):
        office.journal.write(account_of(request), "signed out")
        office.sessions.end(token)
    answer.delete_cookie(keeper.cookie, secure=keeper.https, httponly=True, samesite="strict")
    return answer


@router.get("/account")
def own_page(request: Request) -> Response:
    """The page of one's own account."""
    return respond("account", account_of(request))


@router.get("/api/account")
def own_account(request: Request) -> dict[str, Any]:
    """Who asks: name, role, cameras (null for all), and where else this account is signed in."""
    account, keeper = account_of(request), request.app.state.keeper
    told: dict[str, Any] = {
        "name": account.name,
        "role": account.role,
        "cameras": None if account.cameras is None else sorted(account.cameras),
        "signs_in": isinstance(keeper, WhoSignedIn),
        "generated_password": False,
        "must_change_password": account.must_change,
        "sessions": [],
    }
    office = office_of(request)
    if isinstance(keeper, WhoSignedIn) and (member := office.accounts.find(account.name)):
        sessions = office.sessions.of(member.id, request.cookies.get(keeper.cookie))
        told["generated_password"] = member.generated
        told["sessions"] = [msgspec.to_builtins(session) for session in sessions]
    return told


@router.post("/api/account/password")
async def own_password(request: Request) -> Response:
    """Change one's own password, for another than it is. All other sessions of the account end, and this one goes on
    under a new token.
    """
    given = await small_body(request, NewPassword)
    account, office = account_of(request), office_of(request)
    member = await _reception(request).member(account.name, given.old, _peer(request))
    if member is None:
        raise HTTPException(403, "old: must be the password that the account has now")
    if given.new == given.old:
        raise HTTPException(422, "new: must be another password than the one that the account has now")

    def change() -> Response:
        office.accounts.set_password(account.name, given.new, account)
        return with_session(request, member, JSONResponse({"changed": True}))

    return await _reception(request).slowly(change)


@router.post("/api/account/sign-out-elsewhere")
def sign_out_elsewhere(request: Request) -> dict[str, int]:
    """End all other sessions of this account; how many there were."""
    keeper, office, account = _keeper(request), office_of(request), account_of(request)
    member = office.accounts.find(account.name)
    if member is None:
        raise HTTPException(404, "an API key has no sessions")
    ended = office.sessions.end_all(member.id, but=request.cookies.get(keeper.cookie))
    office.journal.write(account, "signed out elsewhere", f"{ended} sessions")
    return {"ended": ended}


def with_session(request: Request, member: Member, answer: Response, by_link: bool | None = None) -> Response:
    """The answer with the cookie of a new session, which replaces the one that the request came with.

    by_link: whether a one-time link signs in here; None: as in the one of before.
    """
    keeper, office = _keeper(request), office_of(request)
    before = request.cookies.get(keeper.cookie)
    token = office.sessions.begin(member.id, _peer(request), instead=before, by_link=by_link)
    answer.set_cookie(
        keeper.cookie,
        token,
        max_age=math.ceil(office.settings.accounts.session_hours * 3600),
        secure=keeper.https,
        httponly=True,
        samesite="strict",
    )
    return answer


async def _begun(request: Request, member: Member, by_link: bool) -> Response:
    def begin() -> Response:
        how = "with a one-time link" if by_link else "with a password"
        office.journal.write(member.account, "signed in", f"{how}, from {_peer(request)}")
        told = {"name": member.account.name, "must_change_password": member.must_change and not by_link}
        return with_session(request, member, JSONResponse(told), by_link)

    office: Office = office_of(request)
    return await _reception(request).slowly(begin)


def _keeper(request: Request) -> WhoSignedIn:
    keeper = request.app.state.keeper
    if not isinstance(keeper, WhoSignedIn):
        raise HTTPException(404, "nobody signs in here: accounts.sign_in is false")
    return keeper


def _reception(request: Request) -> Reception:
    reception = request.app.state.reception
    assert isinstance(reception, Reception)
    return reception


def _peer(request: Request) -> str:
    """The address of the connection itself: what a header says of it is not believed."""
    return request.client.host if request.client else "unknown"
