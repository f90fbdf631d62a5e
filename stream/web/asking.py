"""Who asks, and the office that is asked: for handlers, behind the gate."""

from __future__ import annotations

from starlette.requests import Request

from stream.web.account import Account
from stream.web.office import Office


def account_of(request: Request) -> Account:
    """Who asks; the gate has seen to it that there is somebody."""
    account = request.state.account
    assert isinstance(account, Account)
    return account


def office_of(request: Request) -> Office:
    """The office of the application that is asked."""
    office = request.app.state.office
    assert isinstance(office, Office)
    return office
