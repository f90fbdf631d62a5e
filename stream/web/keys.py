"""API keys: for programs, which act in the name of an account and never with more rights than it has."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

from engines.recognition.names import clean_name
from stream.web import tokens
from stream.web.account import Account, Role
from stream.web.accounts import AccountError, Member, packed, said, unpacked
from stream.web.journal import Journal
from stream.web.store import Store

_PREFIX = "unvizard_"  # so that a key that got into the open is recognised as one
_NOTED_EVERY_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept: what it is called, whose it is, and what it may do."""

    id: str
    label: str
    owner: str
    role: Role
    cameras: frozenset[str] | None
    since_wall_ns: int
    used_wall_ns: int | None


class ApiKeys:
    """The API keys of a store. Threads take turns. All methods raise StoreError."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store, self._journal = store, journal

    def add(
        self, label: str, owner: Member, role: Role, cameras: Collection[str] | None, actor: Account | str
    ) -> tuple[ApiKey, str]:
        """A new key, and its token, which nobody can show again. Raises AccountError."""
        try:
            label = clean_name(label)
        except ValueError as error:
            raise AccountError(str(error).replace("name:", "label:", 1)) from None
        if not owner.account.role.covers(role):
            raise AccountError(
                f"role: must be one that the owner covers ({owner.account.role}), found {role}"
            )
        token, made = _PREFIX + tokens.make(), self._store.clock_ns()
        known = None if cameras is None else frozenset(cameras)
        key = ApiKey(secrets.token_hex(8), label, owner.account.name, role, known, made, None)
        values = (key.id, tokens.stored(token), label, owner.id, role, packed(cameras), made)
        with self._store.writing() as connection:
            try:
                connection.execute("INSERT INTO api_key VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", values)
            except sqlite3.IntegrityError:
                raise AccountError(
                    f"label: must be one that {key.owner} has no key of, found {label!r}"
                ) from None
            detail = f"{label} of {key.owner}: {said(role, cameras)}"
            self._journal.write(actor, "key added", detail)
        return key, token

    def all(self) -> tuple[ApiKey, ...]:
        """Every key, by owner and label."""
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT api_key.id, label, name, api_key.role, api_key.cameras, api_key.since_wall_ns, used_wall_ns"
                " FROM api_key JOIN account ON account = account.id ORDER BY same_name, label"
            ).fetchall()
        return tuple(
            ApiKey(identity, label, owner, Role(role), unpacked(cameras), since, used)
            for identity, label, owner, role, cameras, since, used in rows
        )

    def revoke(self, key: str, actor: Account | str) -> None:
        """End a key, by its id. Raises AccountError."""
        with self._store.writing() as connection:
            found = next((each for each in self.all() if each.id == key), None)
            if found is None:
                raise AccountError(f"key: must be the id of one, found {key!r}")
            connection.execute("DELETE FROM api_key WHERE id = ?", (key,))
            self._journal.write(actor, "key revoked", f"{found.label} of {found.owner}")

    def account(self, token: str) -> tuple[Account, bool] | None:
        """In whose name, and with which rights, a token's bearer acts; whether it is time to `note` its use."""
        with self._store.reading() as connection:
            row = connection.execute(
                "SELECT label, name, api_key.role, api_key.cameras, account.role, account.cameras, used_wall_ns"
                " FROM api_key JOIN account ON account = account.id WHERE token_hash = ?",
                (tokens.stored(token),),
            ).fetchone()
        if row is None:
            return None
        label, name, role, cameras, owner_role, owner_cameras, used = row
        least = Role(role) if Role(owner_role).covers(Role(role)) else Role(owner_role)
        account = Account(f"{name} (key {label})", least, _both(unpacked(cameras), unpacked(owner_cameras)))
        return account, used is None or self._store.clock_ns() - used > _NOTED_EVERY_NS

    def note(self, token: str) -> None:
        """Remember that a key is used."""
        with self._store.writing() as connection:
            values = (self._store.clock_ns(), tokens.stored(token))
            connection.execute("UPDATE api_key SET used_wall_ns = ? WHERE token_hash = ?", values)


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other
