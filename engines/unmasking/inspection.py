"""Whether a picture file is a reconstruction, whose it is, and whether it was altered since."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from engines.recognition.photo import Photo, read_photo
from engines.signing import Expected
from engines.unmasking import claim as claims
from engines.unmasking import watermark
from engines.unmasking.claim import SignedClaim

_PNG = b"\x89PNG\r\n\x1a\n"
_PLAIN_CHUNKS = {b"IHDR", b"IDAT", b"IEND", b"tEXt", b"zTXt", b"iTXt", b"tIME", b"pHYs"}
"""Chunks that leave the look of the pixels alone. Colour profiles, transparency or more pictures do not."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found in a picture file.

    score: watermark.score of the whole picture. claim: as found in the metadata, whether genuine or not.
    broken: why a claim that is there cannot be read. same_pixels: whether the claim is about these very pixels.
    dressed: what in the file changes how the pixels look, although they are the same.
    expected: whether the claim's installation is the one that was insisted on; None when none was.
    """

    score: float
    claim: SignedClaim | None
    broken: str | None
    same_pixels: bool
    dressed: str | None
    expected: bool | None

    @property
    def watermarked(self) -> bool:
        """Whether the pixels carry the mark."""
        return self.score > watermark.THRESHOLD

    @property
    def marked(self) -> bool:
        """Whether anything says that this is a reconstruction."""
        return self.watermarked or self.claim is not None or self.broken is not None

    @property
    def unaltered(self) -> bool:
        """Whether it is, pixel for pixel, what the installation that it names has signed (and the expected one)."""
        return (
            self.claim is not None
            and self.claim.genuine
            and self.watermarked
            and self.same_pixels
            and self.dressed is None
            and self.expected is not False
        )


def inspect(path: Path, expected: Expected | None = None) -> Inspection:
    """Look for watermark and claim. Raises engines.recognition.photo.Refused for a file that is no picture."""
    return inspect_photo(read_photo(path), path.read_bytes(), expected)


def inspect_photo(photo: Photo, data: bytes, expected: Expected | None = None) -> Inspection:
    """The same of a photo that was decoded from `data`, the content of its file."""
    claim, broken = None, None
    try:
        claim = claims.find(photo.texts)
    except ValueError as error:
        broken = str(error)
    return Inspection(
        score=watermark.score(photo.pixels),
        claim=claim,
        broken=broken,
        same_pixels=claim is not None and claims.pixels_sha256(photo.pixels) == claim.claim.pixels,
        dressed=_dressed(data),
        expected=None if expected is None else _fits(expected, claim),
    )


def _fits(expected: Expected, claim: SignedClaim | None) -> bool:
    return claim is not None and claim.key is not None and expected.fits(claim.key)


def sentences(found: Inspection) -> list[str]:
    """What was found, for people, one sentence an entry; what can not be said comes last."""
    said = []
    if found.watermarked:
        said.append(
            f"Its pixels carry Unvizard's watermark (score {found.score:.2f}, limit {watermark.THRESHOLD}): it shows a "
            "reconstruction, a guess by a network, or a part of one."
        )
    else:
        said.append(
            f"No watermark was found in its pixels (score {found.score:.2f}, limit {watermark.THRESHOLD})."
        )
    said += _about_claim(found)
    if not found.marked:
        said.append(
            "It can not be said that this is no reconstruction: a mark can be removed on purpose, or be lost by strong "
            "changes."
        )
    elif not found.unaltered:
        said.append(
            "It can not be said what was changed, when, or by whom; changes as small as saving it anew count."
        )
    said.append("It can not be said whom it shows: what a mask hides is not known to any network.")
    return said


def _about_claim(found: Inspection) -> list[str]:
    if found.broken is not None:
        return [f"It carries a claim that is damaged: {found.broken}."]
    if found.claim is None:
        return ["It carries no signed claim: which installation made it can not be said."]
    claim = found.claim.claim
    if not found.claim.genuine:
        return [
            "It carries a claim whose signature is wrong: the claim was altered, or is not from the installation that "
            "it names."
        ]
    said = [
        f"It carries a claim signed by installation {claim.installation}: made {claim.made} by that machine's clock, "
        f"by {claim.product}, generator {claim.generator[:16]}…",
    ]
    if found.expected is False:
        said.append("That is NOT the installation that was asked for.")
    elif found.expected:
        said.append("That is the installation that was asked for.")
    else:
        said.append(
            "Anybody can make a key: compare this name with the one that its owner gave you, or give it with --key."
        )
    if not found.same_pixels:
        said.append("The claim is about other pixels: the picture was altered since it was signed.")
    elif found.dressed:
        said.append(f"The pixels are those that were signed, but the file was dressed up: {found.dressed}.")
    else:
        said.append("The pixels are, each of them, those that were signed.")
    if found.same_pixels and not found.watermarked:
        said.append("Unvizard signs no picture without a watermark: somebody else used the key for this one.")
    return said


def _dressed(data: bytes) -> str | None:
    """What in a PNG file changes how its pixels look; other formats are judged by their pixels alone."""
    if not data.startswith(_PNG):
        return None
    at, kinds = len(_PNG), []
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        if kind == b"IHDR" and data[at + 16 : at + 18] != b"\x08\x02":
            return "its pixels are not stored as plain 8-bit RGB"
        kinds.append(kind)
        at += 12 + length
    if at != len(data) or kinds[-1:] != [b"IEND"]:
        return "there is something behind its end"
    odd = sorted({kind.decode("latin-1") for kind in kinds} - {kind.decode() for kind in _PLAIN_CHUNKS})
    return f"chunks {', '.join(odd)} change how it is shown" if odd else None
