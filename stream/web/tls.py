"""The certificate of the pages, looked at before anybody is served with it."""

from __future__ import annotations

import logging
import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from cryptography import x509

from stream.config import Tls
from stream.fault import Fault

log = logging.getLogger(__name__)


class TlsFiles(TypedDict, total=False):
    """What uvicorn calls them."""

    ssl_certfile: Path
    ssl_keyfile: Path


def tls_files(tls: Tls | None) -> TlsFiles:
    """What the server needs to serve by https; nothing for None. Raises Fault for files that cannot be used."""
    if tls is None:
        return {}
    _readable("certificate", tls.certificate)
    _readable("key", tls.key)
    mode = stat.S_IMODE(tls.key.stat().st_mode)
    if mode & stat.S_IRWXO:
        raise Fault(
            f"display.tls.key: must not be open to everybody (chmod 600), found {tls.key} with mode {mode:o}"
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            tls.certificate, tls.key, password=_no_password
        )
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise Fault(
            f"display.tls: must be a certificate and its own private key without a password, both PEM, found "
            f"{tls.certificate} and {tls.key}: {reason}"
        ) from None
    until = x509.load_pem_x509_certificate(tls.certificate.read_bytes()).not_valid_after_utc
    if until < datetime.now(UTC):
        log.warning(
            "display.tls.certificate: %s ran out on %s; browsers will warn of it", tls.certificate, until
        )
    return {"ssl_certfile": tls.certificate, "ssl_keyfile": tls.key}


def _readable(field: str, path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise Fault(
            f"display.tls.{field}: must be a file that can be read, found {path}: {error.strerror}"
        ) from None


def _no_password() -> str:
    return ""  # else OpenSSL asks at the terminal
