"""Keeps templates and names unreadable without the key file, and gives marks that only its holder can make."""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from engines.secret_file import mode_for_others, write_once

KEY_BYTES, _NONCE_BYTES = 32, 12
SEALED_BYTES = _NONCE_BYTES + 16
"""So much longer is what was sealed: by the nonce and the tag."""


class VaultError(RuntimeError):
    """The key is missing, open to others, not a key, or not the one that sealed this."""


class Cipher:
    """Seals with AES-256-GCM under one key of KEY_BYTES."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes, bound_to: str) -> bytes:
        """Encrypted, and readable only together with the text it is bound to (which row and field it is)."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, bound_to.encode())

    def unseal(self, sealed: bytes, bound_to: str) -> bytes:
        """What was sealed. Raises VaultError for another key, another place, or a changed byte."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to.encode())
        except (InvalidTag, ValueError):
            raise VaultError(f"{bound_to}: sealed with another key, moved, or damaged") from None


class Vault(Cipher):
    """Seals, and marks with HMAC-SHA256, each under its own key drawn from the key file's."""

    def __init__(self, key: bytes) -> None:
        super().__init__(_derive(key, b"seal"))
        self._mark_key = _derive(key, b"mark")

    @classmethod
    def open(cls, path: Path) -> Vault:
        """The vault of a key file. Raises VaultError."""
        try:
            key, mode = path.read_bytes(), mode_for_others(path)
        except FileNotFoundError:
            raise VaultError(
                f"{path}: the gallery's key is missing; without it nothing in the gallery can be read"
            ) from None
        except OSError as error:
            raise VaultError(f"{path}: the key cannot be read: {error.strerror}") from None
        if mode:
            raise VaultError(f"{path}: only its owner may read the key (chmod 600), found mode {mode:o}")
        if len(key) != KEY_BYTES:
            raise VaultError(f"{path}: a key has {KEY_BYTES} bytes, found {len(key)}")
        return cls(key)

    @classmethod
    def create(cls, path: Path) -> Vault:
        """The vault of a key file, which is made (mode 0600) if it is not there. Raises VaultError."""
        if not path.exists():
            try:
                write_once(path, secrets.token_bytes(KEY_BYTES))
            except OSError as error:
                raise VaultError(f"{path}: the key cannot be written: {error.strerror}") from None
        return cls.open(path)

    def mark(self, data: bytes, purpose: str) -> bytes:
        """32 bytes that stand for data: equal for equal data, and nobody without the key can make or test them."""
        return hmac.digest(self._mark_key, purpose.encode() + b"\0" + data, "sha256")


def _derive(key: bytes, use: bytes) -> bytes:
    return HKDF(SHA256(), length=KEY_BYTES, salt=None, info=b"unvizard gallery " + use).derive(key)
