"""The keys under which people are sealed, in a file beside the gallery: who destroys one makes every copy unreadable.

Each slot of the file has the random id of a key and the key, sealed by the vault. Slots are appended and overwritten
where they lie, never moved: an atomic replacement would leave the old bytes on the disk. A slot divides the sectors
of a disk, so that a power cut leaves it whole or destroyed.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from engines.recognition.vault import KEY_BYTES, Cipher, Vault, VaultError
from engines.secret_file import mode_for_others

_SLOT = 128
_HEADER = b"unvizard keyring 1".ljust(_SLOT, b"\0")
_ID_BYTES = 16
_SEALED_BYTES = 12 + KEY_BYTES + 16  # nonce, key, tag
_DESTROYED = bytes(_SEALED_BYTES)


class KeyRing:
    """The keys of a gallery. Who adds or destroys holds the database's writing lock. Raises VaultError and OSError."""

    def __init__(self, path: Path, vault: Vault) -> None:
        """path: of the file, which is made with the first key."""
        self.path, self._vault = path, vault
        self._sealed: dict[str, bytes] = {}
        self._ciphers: dict[str, Cipher] = {}
        self._gone: list[str] = []
        self._seen: tuple[int, int, int] | None = None

    def add(self, count: int) -> list[tuple[str, Cipher]]:
        """Make keys, which are on the disk when this returns: the id of each, and what seals under it."""
        made = {secrets.token_hex(_ID_BYTES): secrets.token_bytes(KEY_BYTES) for _ in range(count)}
        slots = b"".join(
            (bytes.fromhex(key) + self._vault.seal(plain, _binding(key))).ljust(_SLOT, b"\0")
            for key, plain in made.items()
        )
        new = not self.path.exists()
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            whole = (
                os.fstat(handle).st_size // _SLOT
            )  # what a power cut left of an appended slot is written over
            _write(handle, slots if whole else _HEADER + slots, whole * _SLOT)
            os.fsync(handle)
        finally:
            os.close(handle)
        if new:
            _sync_folder(self.path.parent)
        return [(key, Cipher(plain)) for key, plain in made.items()]

    def ciphers(self, keys: Mapping[str, str]) -> dict[str, Cipher]:
        """What seals for each person, by their keys; whose key was destroyed is left out. Raises VaultError when one
        is missing.
        """
        self._refresh()
        found = {}
        for person, key in keys.items():
            cipher = self._ciphers.get(key) or self._unsealed(key)
            if cipher:
                found[person] = cipher
        return found

    def destroyed(self) -> list[str]:
        """The ids of all keys that were destroyed."""
        if not self.path.exists():
            return []
        self._refresh()
        return self._gone

    def destroy(self, keys: Iterable[str]) -> int:
        """Overwrite keys, on the disk when this returns; how many there were that could be used before."""
        wanted = {bytes.fromhex(key) for key in keys}
        count = 0
        handle = os.open(self.path, os.O_RDWR)
        try:
            for start in range(_SLOT, os.fstat(handle).st_size // _SLOT * _SLOT, _SLOT):
                slot = os.pread(handle, _ID_BYTES + _SEALED_BYTES, start)
                if slot[:_ID_BYTES] in wanted and slot[_ID_BYTES:] != _DESTROYED:
                    _write(handle, _DESTROYED, start + _ID_BYTES)
                    count += 1
            os.fsync(handle)
        finally:
            os.close(handle)
        self._seen = None
        return count

    def _unsealed(self, key: str) -> Cipher | None:
        sealed = self._sealed.get(key)
        if sealed is None:
            raise VaultError(f"{self.path.name}: the key {key[:8]}… of a person is missing")
        if sealed == _DESTROYED:
            return None
        cipher = self._ciphers[key] = Cipher(self._vault.unseal(sealed, _binding(key)))
        return cipher

    def _refresh(self) -> None:
        """Read the file again when any process has changed it."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            raise VaultError(f"{self.path}: the keys of the people are missing") from None
        seen = (found.st_ino, found.st_size, found.st_mtime_ns)
        if seen == self._seen:
            return
        if mode := mode_for_others(self.path):
            raise VaultError(
                f"{self.path}: only its owner may read the keys (chmod 600), found mode {mode:o}"
            )
        data = self.path.read_bytes()
        if data[:_SLOT] != _HEADER:
            raise VaultError(f"{self.path}: is not a file of keys")
        self._sealed = {
            data[start : start + _ID_BYTES].hex(): data[start + _ID_BYTES : start + _ID_BYTES + _SEALED_BYTES]
            for start in range(_SLOT, len(data) // _SLOT * _SLOT, _SLOT)
        }
        self._seen = seen
        self._gone = [key for key, sealed in self._sealed.items() if sealed == _DESTROYED]
        for key in self._gone:
            self._ciphers.pop(key, None)


def _binding(key: str) -> str:
    return f"key {key}"


def _write(handle: int, data: bytes, at: int) -> None:
    if (written := os.pwrite(handle, data, at)) != len(data):
        raise OSError(28, f"only {written} of {len(data)} bytes could be written")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
