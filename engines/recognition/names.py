"""What may be a person's name, or a ground for enrolment: text that shows as it is."""

from __future__ import annotations

import unicodedata

NAME_LENGTH = 80
GROUND_LENGTH = 200
_JOINERS = "\u200c\u200d"
"""Zero-width, yet part of the spelling of Persian and Indian names."""


def clean_name(name: str) -> str:
    """The name in Unicode NFC with single spaces. Raises ValueError with the rule that is broken."""
    return _clean("name", name, NAME_LENGTH)


def clean_ground(ground: str) -> str:
    """The ground in the same form. Raises ValueError: enrolment without a stated ground is refused."""
    if not ground.strip():
        raise ValueError('ground: must be stated, such as "consent"; found none')
    return _clean("ground", ground, GROUND_LENGTH)


def same_name(name: str) -> str:
    """The form in which two spellings of one name are equal: compatibility-folded, without case or joiners."""
    folded = unicodedata.normalize("NFKC", clean_name(name)).casefold()
    return unicodedata.normalize("NFKC", "".join(c for c in folded if c not in _JOINERS))


def _clean(field: str, text: str, longest: int) -> str:
    for character in text:
        category = unicodedata.category(character)
        if category == "Cf" and character not in _JOINERS:
            raise ValueError(
                f"{field}: must not hold invisible or direction-changing characters, found {_shown(character)}"
            )
        if category in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp"):
            raise ValueError(f"{field}: must not hold control characters, found {_shown(character)}")
    text = " ".join(unicodedata.normalize("NFC", text).split())
    if not 1 <= len(text) <= longest:
        raise ValueError(f"{field}: must have 1 to {longest} characters, found {len(text)}")
    if not any(c.isalnum() for c in text):
        raise ValueError(f"{field}: must hold a letter or a digit, found {text!r}")
    return text


def _shown(character: str) -> str:
    return f"U+{ord(character):04X}"
