"""What the file of a reconstruction claims about itself, signed by the installation that made it.

In the spirit of C2PA's manifests (who made it, with what, and a hash that binds the claim to the picture), but a small
format of our own in the picture's XMP, and not C2PA: C2PA's tools do not read it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import numpy as np
from numpy.typing import NDArray

from engines.signing import PublicKey, SigningKey

CAPTION = "AI reconstruction, not evidence"
FORMAT = "unvizard picture claim 1"
_NAMESPACE = "urn:unvizard:picture-claim:1"
_ATTRIBUTES = re.compile(r'unvizard:(Claim|Signature)="([A-Za-z0-9+/=]{1,20000})"')


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The signed text, as JSON with the fields in this order.

    installation: the fingerprint of public_key (hexadecimal). made: UTC by that machine's own clock. generator:
    sha256 of the generator's file. pixels: see pixels_sha256. width, height: in pixels.
    """

    format: str
    statement: str
    installation: str
    public_key: str
    made: str
    product: str
    generator: str
    pixels: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class SignedClaim:
    """A claim as it stands in a file. data: the bytes that were signed."""

    claim: Claim
    data: bytes
    signature: bytes

    @property
    def key(self) -> PublicKey | None:
        """The key that the claim names, when it is one and the installation's name is its fingerprint."""
        try:
            key = PublicKey(bytes.fromhex(self.claim.public_key))
        except ValueError:
            return None
        return key if key.fingerprint == self.claim.installation else None

    @property
    def genuine(self) -> bool:
        """Whether the claim is as the installation that it names has signed it."""
        return self.key is not None and self.key.signed(self.data, self.signature)


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs the reconstructions of one run. product: name and version. generator: sha256 of its file."""

    key: SigningKey
    product: str
    generator: str

    def sign(self, pixels: NDArray[np.uint8], made_ns: int | None = None) -> SignedClaim:
        """The claim for a marked picture, uint8 RGB [H, W, 3]. made_ns: UTC since 1970; None: now."""
        made = datetime.fromtimestamp((time.time_ns() if made_ns is None else made_ns) / 1e9, UTC)
        claim = Claim(
            format=FORMAT,
            statement=CAPTION,
            installation=self.key.public.fingerprint,
            public_key=self.key.public.raw.hex(),
            made=made.strftime("%Y-%m-%dT%H:%M:%SZ"),
            product=self.product,
            generator=self.generator,
            pixels=pixels_sha256(pixels),
            width=pixels.shape[1],
            height=pixels.shape[0],
        )
        data = msgspec.json.encode(claim)
        return SignedClaim(claim, data, self.key.sign(data))


def pixels_sha256(pixels: NDArray[np.uint8]) -> str:
    """sha256, hexadecimal, of "WIDTHxHEIGHT RGB", a line feed, and the pixels of uint8 RGB [H, W, 3] row by row."""
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(f"{width}x{height} RGB\n".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def attributes(signed: SignedClaim | None) -> str:
    """The claim as attributes of an XMP description; empty without one."""
    if signed is None:
        return ""
    claim, signature = (base64.b64encode(part).decode() for part in (signed.data, signed.signature))
    return f'xmlns:unvizard="{_NAMESPACE}" unvizard:Claim="{claim}" unvizard:Signature="{signature}" '


def find(texts: Iterable[str]) -> SignedClaim | None:
    """The first claim in a picture's metadata, checked for its form only. Raises ValueError for a broken one."""
    for text in texts:
        found = dict(_ATTRIBUTES.findall(text))
        if not found:
            continue
        try:
            data, signature = (
                base64.b64decode(found.get(name, ""), validate=True) for name in ("Claim", "Signature")
            )
            claim = msgspec.json.decode(data, type=Claim)
        except (binascii.Error, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ValueError(f"its claim cannot be read: {error}") from None
        if claim.format != FORMAT:
            raise ValueError(f"its claim must be of the format {FORMAT!r}, found {claim.format[:40]!r}")
        return SignedClaim(claim, data, signature)
    return None
