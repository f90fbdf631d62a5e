"""The office and its doorkeeper, and what a start prints of them."""

from __future__ import annotations

from pathlib import Path

from stream.config import Settings
from stream.web import passwords
from stream.web.account import Role
from stream.web.accounts import FIRST, Accounts
from stream.web.journal import Journal
from stream.web.keeper import EverybodyHere, WhoSignedIn
from stream.web.office import Office
from stream.web.sessions import ONCE_MINUTES, Sessions
from stream.web.store import Store

_ACTOR = "first start"


def open_office(
    settings: Settings, directory: Path, config: Path | None = None
) -> tuple[Office, EverybodyHere | WhoSignedIn]:
    """What create_app needs; close the keeper, then the office at the end. directory: of the run. Raises StoreError."""
    office = Office(settings, directory, config)
    if not settings.accounts.sign_in:
        return office, EverybodyHere()
    return office, WhoSignedIn(office.sessions, office.keys, settings.display.tls is not None)


def first_words(settings: Settings, url: str, terminal: bool) -> list[str]:
    """What whoever started the program must be told of signing in, a line each. Raises StoreError.

    url: of the pages, as `https://host:port/`. The first start makes an administrator, whose password is told here,
    once. terminal: whether a person reads it; then there is a link that signs an administrator in, once, within ten
    minutes. A log that is kept never gets one.
    """
    if not settings.accounts.sign_in:
        return []
    with Store(settings.accounts.store) as store:
        accounts = Accounts(store, Journal(store))
        password = passwords.generate()
        lines = []
        if accounts.add_first(password, _ACTOR):
            lines += [
                f"First start. Sign in as {FIRST!r} with the password {password}",
                "It is shown this once; the first thing you do with it is to change it.",
            ]
        if terminal:
            rulers = [each for each in accounts.all() if each.account.role is Role.ADMINISTRATOR]
            oldest = min(rulers, key=lambda each: each.since_wall_ns)
            token = Sessions(store, settings.accounts).link_token(oldest.id)
            lines.append(
                f"Sign in without it, once, within {ONCE_MINUTES} minutes: {url}sign-in#once={token}"
            )
    return lines
