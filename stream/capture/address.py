"""Camera addresses: which kinds there are, and how to show one without its password."""

from __future__ import annotations

import re
from enum import StrEnum
from urllib.parse import unquote, urlsplit


class SourceKind(StrEnum):
    """Where frames can come from."""

    RTSP = "rtsp"
    FILE = "file"
    WEBCAM = "webcam"


class AddressError(ValueError):
    """An address that names no source we read."""


def source_kind(url: str) -> SourceKind:
    """The kind of source an address names.

    rtsp://… and rtsps://… are cameras, webcam:N (or webcam:/dev/videoN) a camera on this machine, a path or
    file:///… a recording. Anything else is refused, because FFmpeg would read far more than cameras ("concat:",
    "http:", "subfile:", …). Raises AddressError.
    """
    if any(ord(c) < 32 for c in url) or not url.strip():
        raise AddressError(f"must be an address without control characters, found {redact(url)!r}")
    scheme = re.match(r"^([A-Za-z][A-Za-z0-9+.-]*):", url)
    if not scheme:
        return SourceKind.FILE
    name = scheme.group(1).lower()
    if name in ("rtsp", "rtsps"):
        if not split_rtsp(url).host:
            raise AddressError(f"must name a host, found {redact(url)!r}")
        return SourceKind.RTSP
    if name == "webcam":
        return SourceKind.WEBCAM
    if name == "file" and url.startswith("file:///"):
        return SourceKind.FILE
    raise AddressError(f"must begin with rtsp://, rtsps://, webcam: or be a file, found {redact(url)!r}")


class RtspAddress:
    """An RTSP address in parts. Passwords may hold '@', ':' and '/'; percent-escapes are undone."""

    __slots__ = ("host", "password", "path", "port", "secure", "user")

    def __init__(self, host: str, port: int, path: str, user: str, password: str, secure: bool) -> None:
        self.host, self.port, self.path, self.secure = host, port, path, secure
        self.user, self.password = user, password

    @property
    def without_credentials(self) -> str:
        """The address as it is sent in requests."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"rtsp{'s' if self.secure else ''}://{host}:{self.port}{self.path}"


def split_rtsp(url: str) -> RtspAddress:
    """The parts of an rtsp:// or rtsps:// address. Raises AddressError."""
    match = re.match(r"^(rtsps?)://(?:(.*)@)?([^/?@]*)(.*)$", url, re.IGNORECASE | re.DOTALL)
    if not match:
        raise AddressError(f"must be rtsp://[user:password@]host[:port]/path, found {redact(url)!r}")
    scheme, credentials, place, path = match.groups()
    user, _, password = (credentials or "").partition(":")
    try:
        parts = urlsplit(f"rtsp://{place}")
        port = parts.port or (322 if scheme.lower() == "rtsps" else 554)
    except ValueError:
        raise AddressError(f"the port must be a number from 1 to 65535, found {redact(url)!r}") from None
    return RtspAddress(
        parts.hostname or "", port, path, unquote(user), unquote(password), scheme.lower() == "rtsps"
    )


def redact(text: str) -> str:
    """The text with *** for the user and password of every address in it, and for passwords in paths and queries."""
    # Passwords may hold quotes and more @.
    text = re.sub(r"(?i)\b([a-z][a-z0-9+.-]*://)\S*@", r"\1***@", text)
    return re.sub(r"(?i)(?<![a-z])(pass(?:word|wd)?|pwd|token|secret|key)=[^&;\s'\"]*", r"\1=***", text)


def local_path(url: str) -> str:
    """The path of a file address."""
    return unquote(url.removeprefix("file://")) if url.startswith("file:///") else url
