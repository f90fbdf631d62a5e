"""Who asks: the two doorkeepers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.requests import HTTPConnection

from stream.web.account import LOCAL, Account, Role
from stream.web.keys import ApiKeys
from stream.web.sessions import Sessions
from stream.web.store import StoreError

log = logging.getLogger(__name__)

_COOKIE = "unvizard_session"


class EverybodyHere:
    """For `accounts.sign_in: false`: whoever reaches the pages is an administrator, and the journal says "local"."""

    signs_in = False

    def account(self, connection: HTTPConnection) -> Account | None:
        """Always the same."""
        return Account(LOCAL, Role.ADMINISTRATOR)

    def close(self) -> None:
        """Nothing to let go of."""


class WhoSignedIn:
    """Knows people by the cookie of their session, and programs by the API key in `Authorization: Bearer`."""

    signs_in = True

    def __init__(self, sessions: Sessions, keys: ApiKeys, https: bool) -> None:
        self._sessions, self._keys = sessions, keys
        self.https = https
        # A browser takes a cookie of this prefix over https only, for this host only.
        self.cookie = f"__Host-{_COOKIE}" if https else _COOKIE
        self._notes = ThreadPoolExecutor(
            1, "account notes"
        )  # writing may wait for the disk, a request must not

    def close(self) -> None:
        """Done with it."""
        self._notes.shutdown()

    def account(self, connection: HTTPConnection) -> Account | None:
        """By key where there is one, and then by nothing else; else by cookie."""
        bearer = connection.headers.get("authorization")
        if bearer is not None:
            kind, _, token = bearer.partition(" ")
            return (
                self._known(self._keys.account, self._keys.note, token) if kind.lower() == "bearer" else None
            )
        token = connection.cookies.get(self.cookie, "")
        return self._known(self._sessions.account, self._sessions.note, token) if token else None

    def _known(
        self, ask: Callable[[str], tuple[Account, bool] | None], note: Callable[[str], None], token: str
    ) -> Account | None:
        try:
            found = ask(token)
        except StoreError as error:
            log.error("nobody can be let in: %s", error)
            return None
        if found is None:
            return None
        account, due = found
        if due:
            self._notes.submit(_quietly, note, token)
        return account


def _quietly(note: Callable[[str], None], token: str) -> None:
    try:
        note(token)
    except StoreError as error:
        log.warning("when a session was used could not be noted: %s", error)
