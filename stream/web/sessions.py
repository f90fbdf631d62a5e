"""Sessions: kept on the server, ended by time, by signing out, and by any change of the account."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stream.config import Accounts as Limits
from stream.web import tokens
from stream.web.account import Account
from stream.web.accounts import COLUMNS, Member, member
from stream.web.store import Store

_NS_PER_MINUTE = 60_000_000_000
_NOTED_EVERY_NS = 30_000_000_000
ONCE_MINUTES = 10
"""How long a one-time link may be used."""


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in that holds. peer: the address that it was made from."""

    since_wall_ns: int
    seen_wall_ns: int
    peer: str
    current: bool


class Sessions:
    """The sessions of a store. Threads take turns. All methods raise StoreError."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._longest_ns = int(limits.session_hours * 60 * _NS_PER_MINUTE)
        self._idle_ns = int(limits.idle_minutes * _NS_PER_MINUTE)

    def begin(self, whose: str, peer: str, instead: str | None = None, by_link: bool | None = None) -> str:
        """A new session's token. whose: the id of an account; instead: the token of the session that it replaces.

        by_link: signed in with a one-time link, so that no password that somebody else chose was used; None: as the
        one that it replaces.
        """
        token, now = tokens.make(), self._store.clock_ns()
        with self._store.writing() as connection:
            if instead:
                query = "SELECT by_link FROM session WHERE token_hash = ? AND account = ?"
                row = connection.execute(query, (tokens.stored(instead), whose)).fetchone()
                by_link = bool(row and row[0]) if by_link is None else by_link
                self.end(instead)
            connection.execute(
                "DELETE FROM session WHERE since_wall_ns < ? OR seen_wall_ns < ?",
                (now - self._longest_ns, now - self._idle_ns),
            )
            connection.execute(
                "INSERT INTO session VALUES (?, ?, ?, ?, ?, ?)",
                (tokens.stored(token), whose, now, now, peer, bool(by_link)),
            )
        return token

    def account(self, token: str) -> tuple[Account, bool] | None:
        """Whose session this is, as long as it holds, and whether it is time to `note` that it is used.

        Who signed in with a password that somebody else chose must change it.
        """
        now = self._store.clock_ns()
        with self._store.reading() as connection:
            row = connection.execute(
                f"SELECT session.since_wall_ns, seen_wall_ns, by_link, {COLUMNS}"
                " FROM session JOIN account ON account = account.id WHERE token_hash = ?",
                (tokens.stored(token),),
            ).fetchone()
        if row is None or not self._holds(row[0], row[1], now):
            return None
        found = member(row[3:])
        account = replace(found.account, must_change=found.must_change and not row[2])
        return account, now - row[1] > _NOTED_EVERY_NS

    def note(self, token: str) -> None:
        """Keep a session from idling."""
        with self._store.writing() as connection:
            values = (self._store.clock_ns(), tokens.stored(token))
            connection.execute("UPDATE session SET seen_wall_ns = ? WHERE token_hash = ?", values)

    def end(self, token: str) -> None:
        """Sign out."""
        with self._store.writing() as connection:
            connection.execute("DELETE FROM session WHERE token_hash = ?", (tokens.stored(token),))

    def end_all(self, whose: str, but: str | None = None) -> int:
        """Sign an account (its id) out everywhere, except for one token; how many sessions ended."""
        with self._store.writing() as connection:
            values = (whose, tokens.stored(but or ""))
            query = "DELETE FROM session WHERE account = ? AND token_hash != ?"
            return connection.execute(query, values).rowcount

    def of(self, whose: str, current: str | None = None) -> tuple[Session, ...]:
        """The sessions of an account (its id) that hold, the latest used first; current: the token of who asks."""
        now, here = self._store.clock_ns(), tokens.stored(current or "")
        query = (
            "SELECT since_wall_ns, seen_wall_ns, peer, token_hash FROM session WHERE account = ?"
            " ORDER BY seen_wall_ns DESC"
        )
        with self._store.reading() as connection:
            rows = connection.execute(query, (whose,)).fetchall()
        return tuple(
            Session(since, seen, peer, stored == here)
            for since, seen, peer, stored in rows
            if self._holds(since, seen, now)
        )

    def link_token(self, whose: str) -> str:
        """The token of a link that signs in once, within ONCE_MINUTES; older links of this account end."""
        token = tokens.make()
        until = self._store.clock_ns() + ONCE_MINUTES * _NS_PER_MINUTE
        with self._store.writing() as connection:
            connection.execute("DELETE FROM once WHERE account = ?", (whose,))
            connection.execute("INSERT INTO once VALUES (?, ?, ?)", (tokens.stored(token), whose, until))
        return token

    def redeem(self, token: str) -> Member | None:
        """The account of a one-time link, which is used up by this."""
        with self._store.writing() as connection:
            row = connection.execute(
                "SELECT until_wall_ns, " + COLUMNS + " FROM once JOIN account ON account = account.id"
                " WHERE token_hash = ?",
                (tokens.stored(token),),
            ).fetchone()
            connection.execute("DELETE FROM once WHERE token_hash = ?", (tokens.stored(token),))
        return member(row[1:]) if row and row[0] > self._store.clock_ns() else None

    def _holds(self, since_ns: int, seen_ns: int, now_ns: int) -> bool:
        return now_ns - since_ns < self._longest_ns and now_ns - seen_ns < self._idle_ns
