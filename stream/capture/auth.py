"""Answers to an RTSP server's demand for a password: Basic (RFC 7617) and Digest (RFC 7616, RFC 2069)."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_HASHES: dict[str, Callable[[bytes], str]] = {
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
}
_PARAMETER = re.compile(r'([A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in which the server lets a user prove who they are. strength: more is better."""

    scheme: str  # "basic" or "digest"
    realm: str
    nonce: str = ""
    opaque: str | None = None
    algorithm: str = "MD5"  # as it was sent; "-sess" may follow
    qop: bool = False  # qop=auth is offered
    stale: bool = False

    @property
    def strength(self) -> int:
        """Basic sends the password itself; SHA-256 is better than MD5."""
        return 0 if self.scheme == "basic" else 2 if self.algorithm.upper().startswith("SHA-256") else 1


def challenges(headers: Iterable[str]) -> list[Challenge]:
    """The challenges we can answer among WWW-Authenticate headers, best first."""
    found = []
    for header in headers:
        # One header may hold several challenges: each begins with its scheme's name.
        for part in re.split(r"(?i)(?:^|,)\s*(?=(?:basic|digest)\s)", header):
            scheme, _, rest = part.strip().partition(" ")
            given = {
                name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain
                for name, quoted, plain in _PARAMETER.findall(rest)
            }
            if scheme.lower() == "basic":
                found.append(Challenge("basic", given.get("realm", "")))
            elif scheme.lower() == "digest" and "nonce" in given:
                challenge = Challenge(
                    scheme="digest",
                    realm=given.get("realm", ""),
                    nonce=given["nonce"],
                    opaque=given.get("opaque"),
                    algorithm=given.get("algorithm", "MD5"),
                    qop="auth" in re.split(r"[\s,]+", given.get("qop", "")),
                    stale=given.get("stale", "").lower() == "true",
                )
                if challenge.algorithm.upper().removesuffix("-SESS") in _HASHES:
                    found.append(challenge)
    return sorted(found, key=lambda challenge: -challenge.strength)


class Authorization:
    """The Authorization headers of one connection. Until the server has asked, there are none."""

    def __init__(self, user: str, password: str) -> None:
        self.user, self._password = user, password
        self._challenge: Challenge | None = None
        self._count = 0

    def accept(self, headers: Iterable[str]) -> Challenge | None:
        """Take the best challenge of a 401; None when there is none that we can answer."""
        best = next(iter(challenges(headers)), None)
        if best is not None:
            self._challenge, self._count = best, 0
        return best

    def header(self, method: str, uri: str) -> str | None:
        """The header for one request; None until a challenge was accepted. A digest is valid for this request only."""
        challenge = self._challenge
        if challenge is None:
            return None
        if challenge.scheme == "basic":
            return "Basic " + base64.b64encode(f"{self.user}:{self._password}".encode()).decode()
        self._count += 1
        count, own = f"{self._count:08x}", secrets.token_hex(8)
        digest = _HASHES[challenge.algorithm.upper().removesuffix("-SESS")]
        secret = digest(f"{self.user}:{challenge.realm}:{self._password}".encode())
        if challenge.algorithm.upper().endswith("-SESS"):
            secret = digest(f"{secret}:{challenge.nonce}:{own}".encode())
        request = digest(f"{method}:{uri}".encode())
        middle = f"{count}:{own}:auth:" if challenge.qop else ""
        response = digest(f"{secret}:{challenge.nonce}:{middle}{request}".encode())
        fields = {
            "username": _quote(self.user),
            "realm": _quote(challenge.realm),
            "nonce": _quote(challenge.nonce),
            "uri": _quote(uri),
            "response": _quote(response),
        }
        if challenge.opaque is not None:
            fields["opaque"] = _quote(challenge.opaque)
        if challenge.algorithm != "MD5":
            fields["algorithm"] = challenge.algorithm
        if challenge.qop:
            fields |= {"qop": "auth", "nc": count, "cnonce": _quote(own)}
        elif challenge.algorithm.upper().endswith("-SESS"):
            fields["cnonce"] = _quote(own)
        return "Digest " + ", ".join(f"{name}={value}" for name, value in fields.items())


def _quote(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
