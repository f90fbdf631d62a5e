"""Events by HTTP POST.

    Content-Type: application/json
    Idempotency-Key: <the event's id>          the same event may come more than once, with the same key
    X-Unvizard-Signature: sha256=<hexadecimal HMAC-SHA256 of the body under the secret>

Every status 2xx means taken. 408, 429 and 5xx are tried again, and so is silence. Other answers are a refusal.
"""

from __future__ import annotations

import hmac
import time
from contextlib import suppress
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import urllib3

import stream
from stream.config import WebHook
from stream.events.channel import Undelivered

_MOST_REDIRECTS = 3
_MOST_ANSWER = 64 << 10  # bytes that are read, so that the connection can be used again
_LONGEST_WAIT_S = 300.0
_TRIED_AGAIN = (408, 429)


class WebHookChannel:
    """Posts to one address."""

    def __init__(self, settings: WebHook) -> None:
        self._settings = settings
        parts = urlsplit(settings.url)
        self._headers = {
            "Content-Type": "application/json",
            "User-Agent": f"unvizard/{stream.__version__}",
        }
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers |= urllib3.make_headers(basic_auth=login)
        self._url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self._pool = urllib3.PoolManager(1, maxsize=1, retries=False)

    def send(self, event: str, document: bytes) -> None:
        """Post a document. Raises Undelivered."""
        headers = {**self._headers, "Idempotency-Key": event}
        if self._settings.secret is not None:
            headers["X-Unvizard-Signature"] = signature(self._settings.secret, document)
        deadline = time.monotonic() + self._settings.timeout_s
        url = self._url
        for _ in range(1 + _MOST_REDIRECTS):
            status, answered = self._post(url, document, headers, deadline)
            if status not in (307, 308):
                return _judge(status, answered)
            url = redirected(url, answered.get("Location", ""))
        raise Undelivered(f"redirects more than {_MOST_REDIRECTS} times", refused=True)

    def close(self) -> None:
        """Let go of the connection."""
        self._pool.clear()

    def _post(
        self, url: str, document: bytes, headers: dict[str, str], deadline: float
    ) -> tuple[int, urllib3.HTTPHeaderDict]:
        left = max(0.01, deadline - time.monotonic())
        try:
            answer = self._pool.request(
                "POST",
                url,
                body=document,
                headers=headers,
                timeout=urllib3.Timeout(total=left),
                redirect=False,
                preload_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise Undelivered(_reason(error, self._settings.timeout_s)) from None
        with suppress(urllib3.exceptions.HTTPError, OSError):  # the status has told all that matters
            answer.read(_MOST_ANSWER)
        answer.close()  # a connection whose answer was read to its end is back in the pool by now
        return answer.status, answer.headers


def signature(secret: str, document: bytes) -> str:
    """What the header X-Unvizard-Signature says of a body."""
    return "sha256=" + hmac.digest(secret.encode(), document, "sha256").hex()


def _judge(status: int, answered: urllib3.HTTPHeaderDict) -> None:
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise Undelivered(
            f"answered {status}: only redirects 307 and 308 keep a POST what it is", refused=True
        )
    wait = answered.get("Retry-After", "")
    after_s = min(float(wait), _LONGEST_WAIT_S) if wait.isascii() and wait.isdigit() else 0.0
    refused = 400 <= status < 500 and status not in _TRIED_AGAIN
    raise Undelivered(f"answered {status}", refused, after_s)


def redirected(url: str, location: str) -> str:
    """Where a redirect leads. An event holds names and pictures: it goes to the host that was set, and no other.

    Raises Undelivered.
    """
    old, new = urlsplit(url), urlsplit(urljoin(url, location))
    safer = (old.scheme, new.scheme) == ("http", "https") and old.port is None and new.port is None
    same = (old.scheme, old.netloc) == (new.scheme, new.netloc) or (safer and old.hostname == new.hostname)
    if not location or not same:
        raise Undelivered("redirects to another host, which is not followed", refused=True)
    return urlunsplit(new)


def _reason(error: Exception, timeout_s: float) -> str:
    """One sentence without the address, which may hold a secret."""
    match error:
        case urllib3.exceptions.NameResolutionError():
            return "the host's name is not known"
        case urllib3.exceptions.SSLError():
            return "the certificate or the TLS connection is not in order"
        case urllib3.exceptions.NewConnectionError():
            return "no connection"
        case urllib3.exceptions.TimeoutError():  # after NewConnectionError, which is one too
            return f"no answer within {timeout_s:g} s"
        case urllib3.exceptions.ProtocolError():
            return "the connection broke off"
    return type(error).__name__
