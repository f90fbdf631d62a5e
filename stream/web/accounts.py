"""The accounts: who may sign in, as what, and for which cameras."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

from engines.recognition.names import clean_name, same_name
from stream.web import passwords
from stream.web.account import LOCAL, Account, Role
from stream.web.journal import Journal
from stream.web.store import Store

FIRST = "admin"
"""The name of the administrator that the first start makes."""

_NOT_IN_NAMES = frozenset(
    "():"
)  # keys are "name (key label)" in the log, people at a terminal "command line: name"


class AccountError(ValueError):
    """What was asked of an account cannot be; the text names the field, the rule and the value found."""


@dataclass(frozen=True, slots=True)
class Member:
    """An account as it is kept. generated: its password was made by the program and never changed. must_change: its
    password was made by the program, or chosen by somebody else, and never changed.
    """

    id: str
    account: Account
    generated: bool
    since_wall_ns: int
    must_change: bool


class Accounts:
    """The accounts of a store. Every change is a line of the journal, and ends the sessions that it concerns.

    Threads take turns. All methods raise StoreError; actor is who does it.
    """

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store, self._journal = store, journal

    def all(self) -> tuple[Member, ...]:
        """Everybody, by name."""
        with self._store.reading() as connection:
            rows = connection.execute(f"SELECT {COLUMNS} FROM account ORDER BY same_name").fetchall()
        return tuple(map(member, rows))

    def find(self, name: str) -> Member | None:
        """The account of this name, in any spelling that counts as the same."""
        try:
            wanted = same_name(name)
        except ValueError:
            return None
        with self._store.reading() as connection:
            row = connection.execute(
                f"SELECT {COLUMNS} FROM account WHERE same_name = ?", (wanted,)
            ).fetchone()
        return member(row) if row else None

    def known(self, name: str) -> Member:
        """The account of this name. Raises AccountError when there is none."""
        found = self.find(name)
        if found is None:
            raise AccountError(f"name: must be that of an account, found {name!r}")
        return found

    def get(self, identity: str) -> Member | None:
        """The account of this id."""
        return next((each for each in self.all() if each.id == identity), None)

    def add(
        self,
        name: str,
        role: Role,
        cameras: Collection[str] | None,
        password: str,
        actor: Account | str,
        generated: bool = False,
        must_change: bool = True,
    ) -> Member:
        """Make an account. Raises AccountError for a name that is taken or cannot be one, or a weak password.

        must_change: nothing can be done with the password but change it, as somebody else chose it.
        """
        try:
            name = clean_name(name)
            passwords.check_rule(password, name)
        except ValueError as error:
            raise AccountError(str(error)) from None
        if same_name(name) == LOCAL or _NOT_IN_NAMES & set(name):
            raise AccountError(
                f"name: must not be {LOCAL!r} or hold one of ():, which tell others apart in the log, found {name!r}"
            )
        stored, identity = passwords.hashed(password), secrets.token_hex(16)
        values = (
            identity,
            same_name(name),
            name,
            role,
            packed(cameras),
            stored,
            generated,
            self._store.clock_ns(),
            must_change,
        )
        with self._store.writing() as connection:
            try:
                connection.execute("INSERT INTO account VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            except sqlite3.IntegrityError:
                raise AccountError(f"name: must be one that is not taken, found {name!r}") from None
            self._journal.write(actor, "account added", f"{name}: {said(role, cameras)}")
        return self.known(name)

    def add_first(self, password: str, actor: str) -> bool:
        """Make the first administrator, unless there is any account. Returns whether it did."""
        with self._store.writing():
            if self.all():
                return False
            self.add(FIRST, Role.ADMINISTRATOR, None, password, actor, generated=True)
        return True

    def change(self, name: str, role: Role, cameras: Collection[str] | None, actor: Account | str) -> Member:
        """Give an account another role or other cameras; its sessions end. Raises AccountError."""
        with self._store.writing() as connection:
            old = self.known(name)
            self._leave_one(old, role)
            connection.execute(
                "UPDATE account SET role = ?, cameras = ? WHERE id = ?", (role, packed(cameras), old.id)
            )
            connection.execute("DELETE FROM session WHERE account = ?", (old.id,))
            connection.execute("DELETE FROM once WHERE account = ?", (old.id,))
            was = said(old.account.role, old.account.cameras)
            detail = f"{old.account.name}: {said(role, cameras)}, was {was}"
            self._journal.write(actor, "account changed", detail)
        return self.known(name)

    def set_password(self, name: str, password: str, actor: Account | str, generated: bool = False) -> None:
        """Give an account another password; its sessions end. Raises AccountError.

        It must be changed at the next sign-in unless it is the account itself that chose it.
        """
        known = self.known(name)
        try:
            passwords.check_rule(password, known.account.name)
        except ValueError as error:
            raise AccountError(str(error)) from None
        stored = passwords.hashed(password)
        own = isinstance(actor, Account) and actor.name == known.account.name and not generated
        with self._store.writing() as connection:
            connection.execute(
                "UPDATE account SET password = ?, generated = ?, must_change = ? WHERE id = ?",
                (stored, generated, not own, known.id),
            )
            connection.execute("DELETE FROM session WHERE account = ?", (known.id,))
            connection.execute("DELETE FROM once WHERE account = ?", (known.id,))
            self._journal.write(actor, "password changed", known.account.name)

    def remove(self, name: str, actor: Account | str) -> None:
        """Remove an account with its sessions and keys. Raises AccountError, also for the last administrator."""
        with self._store.writing() as connection:
            old = self.known(name)
            self._leave_one(old, None)
            connection.execute("DELETE FROM account WHERE id = ?", (old.id,))
            self._journal.write(actor, "account removed", old.account.name)

    def check(self, name: str, password: str) -> Member | None:
        """The account that these prove; None, after as long a time, when they prove nothing."""
        found, stored = self.find(name), None
        if found:
            with self._store.reading() as connection:
                question = "SELECT password FROM account WHERE id = ?"
                row = connection.execute(question, (found.id,)).fetchone()
            stored = str(row[0]) if row else None
        if not passwords.fits(stored, password[: passwords.MOST + 1]) or found is None or stored is None:
            return None
        if passwords.outdated(stored):
            better = passwords.hashed(password)
            with self._store.writing() as connection:
                query = "UPDATE account SET password = ? WHERE id = ? AND password = ?"
                connection.execute(query, (better, found.id, stored))
        return found

    def _leave_one(self, old: Member, role: Role | None) -> None:
        """Raises AccountError when nobody could make accounts any more."""
        others = [m for m in self.all() if m.account.role is Role.ADMINISTRATOR and m.id != old.id]
        if old.account.role is Role.ADMINISTRATOR and role is not Role.ADMINISTRATOR and not others:
            raise AccountError(
                f"role: there must be an administrator left, and {old.account.name!r} is the only one"
            )


COLUMNS = (
    "account.id, account.name, account.role, account.cameras, account.generated, account.since_wall_ns,"
    " account.must_change"
)


def member(row: tuple[str, str, str, str | None, int, int, int]) -> Member:
    """What COLUMNS hold."""
    identity, name, role, cameras, generated, since, must_change = row
    account = Account(name, Role(role), unpacked(cameras))
    return Member(identity, account, bool(generated), since, bool(must_change))


def packed(cameras: Collection[str] | None) -> str | None:
    """Names of cameras as they are kept."""
    return None if cameras is None else json.dumps(sorted(cameras))


def unpacked(cameras: str | None) -> frozenset[str] | None:
    """The other way."""
    return None if cameras is None else frozenset(json.loads(cameras))


def said(role: Role, cameras: Collection[str] | None) -> str:
    """A role and its cameras in words."""
    return f"{role}, {'all cameras' if cameras is None else 'cameras: ' + (', '.join(sorted(cameras)) or 'none')}"
