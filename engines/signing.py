"""The installation's key: it signs what leaves the program, and its public half names the installation.

Ed25519 (RFC 8032). The signature is over the very bytes of a JSON text that says in its first field what it is, so
that any tool that knows Ed25519 can check it and no signature passes for one of another kind. Whoever has the
private key can sign as this installation; a signature does not prove when something was signed.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from engines.secret_file import mode_for_others, write_once

SIGNATURE_BYTES = 64
_PUBLIC_BYTES = 32
_FINGERPRINT_DIGITS = 32
_MOST_PEM_BYTES = 10_000


class SigningError(RuntimeError):
    """The key is missing, open to others, or not an Ed25519 key; the text names the file and what to do."""


@dataclass(frozen=True)
class PublicKey:
    """Checks what an installation has signed. raw: the 32 bytes of an Ed25519 public key, else ValueError."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != _PUBLIC_BYTES:
            raise ValueError(f"public key: must have {_PUBLIC_BYTES} bytes, found {len(self.raw)}")

    @classmethod
    def of_pem(cls, pem: bytes, origin: str) -> PublicKey:
        """The key of a PEM text. Raises SigningError, which names the origin."""
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise SigningError(f"{origin}: is not a public key in PEM") from None
        if not isinstance(key, Ed25519PublicKey):
            raise SigningError(f"{origin}: must be an Ed25519 key, found another kind")
        return cls(key.public_bytes(Encoding.Raw, PublicFormat.Raw))

    @property
    def pem(self) -> bytes:
        """As a PEM text, which openssl reads too."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @cached_property
    def fingerprint(self) -> str:
        """The installation's name: 32 hexadecimal digits of the key's sha256, in groups of four."""
        digits = hashlib.sha256(self.raw).hexdigest()[:_FINGERPRINT_DIGITS]
        return " ".join(digits[i : i + 4] for i in range(0, _FINGERPRINT_DIGITS, 4))

    def signed(self, data: bytes, signature: bytes) -> bool:
        """Whether this installation has signed the bytes."""
        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True

    @cached_property
    def _key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.raw)


class SigningKey:
    """The private key of an installation."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    @classmethod
    def open(cls, path: Path) -> SigningKey:
        """The key of a file, made (mode 0600, the public key beside it as *.pub) at the first use.

        A key that is lost is not replaced without a word: while the public key is there, somebody may rely on the
        installation's name. Raises SigningError.
        """
        beside = path.with_suffix(".pub")
        try:
            if not path.exists():
                if beside.exists():
                    raise SigningError(
                        f"{path}: the signing key is missing, but its public key {beside} is there; put the key "
                        f"back from a copy, or delete {beside.name} to go on as a new installation"
                    )
                path.parent.mkdir(parents=True, exist_ok=True)
                write_once(path, _new_pem())
            key = cls._read(path)
            if not beside.exists():
                write_once(beside, key.public.pem)
                beside.chmod(0o644)
            elif PublicKey.of_pem(beside.read_bytes(), str(beside)) != key.public:
                raise SigningError(f"{path}: the signing key does not belong to the public key {beside}")
        except OSError as error:
            raise SigningError(f"{path}: the signing key cannot be used: {error.strerror}") from None
        return key

    @classmethod
    def _read(cls, path: Path) -> SigningKey:
        pem = path.read_bytes()
        if mode := mode_for_others(path):
            raise SigningError(f"{path}: only its owner may read the key (chmod 600), found mode {mode:o}")
        try:
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise SigningError(f"{path}: is not a private key in PEM without a password") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise SigningError(f"{path}: must be an Ed25519 key, found another kind")
        return cls(key)

    def sign(self, data: bytes) -> bytes:
        """The signature, 64 bytes, of a text that says in its first field what it is."""
        return self._key.sign(data)


@dataclass(frozen=True, slots=True)
class Expected:
    """The installation that somebody insists on. wanted: 32 hexadecimal digits of its fingerprint."""

    wanted: str

    @classmethod
    def parse(cls, text: str) -> Expected:
        """From a fingerprint, in groups or not, or the path of a public key file. Raises SigningError."""
        path = Path(text)
        if path.is_file():
            with path.open("rb") as file:
                found = PublicKey.of_pem(file.read(_MOST_PEM_BYTES), text)
            return cls(found.fingerprint.replace(" ", ""))
        digits = re.sub(r"[\s:-]", "", text).lower()
        if not re.fullmatch(f"[0-9a-f]{{{_FINGERPRINT_DIGITS}}}", digits):
            raise SigningError(
                f"key: must be a fingerprint of {_FINGERPRINT_DIGITS} hexadecimal digits or a public key file, "
                f"found {text[:80]!r}"
            )
        return cls(digits)

    def fits(self, key: PublicKey) -> bool:
        """Whether a public key is the one that is insisted on."""
        return key.fingerprint.replace(" ", "") == self.wanted


def _new_pem() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
