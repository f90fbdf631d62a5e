"""Passwords: Argon2id hashes (RFC 9106, the second recommended option: 64 MiB, 3 passes, 4 lanes)."""

from __future__ import annotations

import secrets
import threading
import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from engines.recognition.names import same_name

LEAST, MOST = 12, 256
_LEAST_DIFFERENT = 5
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # without those that are taken for one another
_GROUPS, _GROUP = 5, 4

_hasher = PasswordHasher()
_turns = threading.BoundedSemaphore(2)  # each takes 64 MiB and some hundredths of a second of a core


def check_rule(password: str, account: str) -> None:
    """Raises ValueError, which names the rule, for a password that is too easily guessed."""
    if not LEAST <= len(password) <= MOST:
        raise ValueError(f"password: must have {LEAST} to {MOST} characters, found {len(password)}")
    if len(set(password)) < _LEAST_DIFFERENT:
        raise ValueError(
            f"password: must have at least {_LEAST_DIFFERENT} different characters, found {len(set(password))}"
        )
    if same_name(account) in _same(password).casefold():
        raise ValueError("password: must not hold the account's name")


def generate() -> str:
    """A password of 99 bits that can be read out and typed."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))


def hashed(password: str) -> str:
    """What may be stored in the password's place."""
    with _turns:
        return _hasher.hash(_same(password))


def fits(stored: str | None, password: str) -> bool:
    """Whether this is the password. None, where there is no such account, takes as long and never fits."""
    with _turns:
        try:
            return _hasher.verify(stored or _of_nobody(), _same(password)) and stored is not None
        except (InvalidHashError, VerificationError):
            return False


def outdated(stored: str) -> bool:
    """Whether a hash was made with weaker settings than today's."""
    return _hasher.check_needs_rehash(stored)


@cache
def _of_nobody() -> str:
    return _hasher.hash(secrets.token_urlsafe(24))


def _same(password: str) -> str:
    return unicodedata.normalize("NFKC", password)
