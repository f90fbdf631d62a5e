"""Who may watch: Digest (RFC 7616, and as cameras do, RFC 2069) and Basic (RFC 7617)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from enum import StrEnum

REALM = "camera"


class Scheme(StrEnum):
    """How a client proves that it knows the password."""

    BASIC = "basic"
    DIGEST = "digest"
    DIGEST_SHA256 = "digest-sha256"


class Guard:
    """The check for one connection; every connection has its own nonce."""

    def __init__(self, scheme: Scheme, user: str, password: str) -> None:
        self._scheme, self._user, self._password = scheme, user, password
        self._old_nonce, self._nonce = "", secrets.token_hex(16)

    def renew(self) -> None:
        """Let the nonce expire: the next request that uses it is told so ("stale")."""
        self._old_nonce, self._nonce = self._nonce, secrets.token_hex(16)

    def challenge(self, authorization: str | None) -> str:
        """The WWW-Authenticate header that answers a request which was not let in."""
        if self._scheme is Scheme.BASIC:
            return f'Basic realm="{REALM}"'
        stale = ", stale=true" if self._old_nonce and f'"{self._old_nonce}"' in (authorization or "") else ""
        algorithm = ', algorithm=SHA-256, qop="auth"' if self._scheme is Scheme.DIGEST_SHA256 else ""
        return f'Digest realm="{REALM}", nonce="{self._nonce}"{algorithm}{stale}'

    def admits(self, method: str, target: str, authorization: str | None) -> bool:
        """Whether the Authorization header belongs to this request and was made with the password."""
        kind, _, rest = (authorization or "").partition(" ")
        if self._scheme is Scheme.BASIC:
            right = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
            return kind.lower() == "basic" and _same(rest.strip(), right)
        if kind.lower() != "digest":
            return False
        given = {
            name.lower(): quoted or plain
            for name, quoted, plain in re.findall(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))', rest)
        }
        if (given.get("username"), given.get("realm"), given.get("nonce"), given.get("uri")) != (
            self._user,
            REALM,
            self._nonce,
            target,
        ):
            return False
        proof = [self._hash(f"{self._user}:{REALM}:{self._password}"), self._nonce]
        if given.get("qop") == "auth":
            proof += [given.get("nc", ""), given.get("cnonce", ""), "auth"]
        right = self._hash(":".join([*proof, self._hash(f"{method}:{target}")]))
        return _same(given.get("response", ""), right)

    def _hash(self, text: str) -> str:
        function = hashlib.sha256 if self._scheme is Scheme.DIGEST_SHA256 else hashlib.md5
        return function(text.encode()).hexdigest()


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())
