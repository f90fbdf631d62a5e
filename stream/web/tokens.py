"""Secrets of sessions, one-time links and API keys. Stored as hashes: a stolen file opens nothing."""

from __future__ import annotations

import hashlib
import secrets

_BYTES = 32


def make() -> str:
    """A token of 256 random bits, for a cookie, a link or a header."""
    return secrets.token_urlsafe(_BYTES)


def stored(token: str) -> bytes:
    """What is kept of it. A fast hash is enough: nobody guesses 256 bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
