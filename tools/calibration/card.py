"""The card that lies beside calibration.json: how it was made, what was measured, and what it cannot do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engines.recognition.calibration import MODELS
from tools.calibration.fit import Fitted
from tools.calibration.lfw import Identification, Verification

Measured = Mapping[str, tuple[Verification, Sequence[Identification]]]

_INTRODUCTION = """# calibration.json

How a cosine between two SFace embeddings becomes a likelihood ratio, and so a probability
(`engines/recognition/calibration.py`, `matcher.py`). One logistic model for each condition and set of evidence.

Fitted on the Face Research Lab London Set (DeBruine and Jones, 2017, CC BY 4.0; 102 people who consented, a neutral
and a smiling photograph each) and on validation faces of FairFace (Kärkkäinen and Joo, 2021, CC BY 4.0) as further
strangers. This project trained no network on these people; the unmasking network learnt from FairFace's training
faces. Every probe is the other photograph of the person, seen by a simulated camera
(`tools/calibration/cctv.py`: 14 to 56 pixels between the eyes, blur, light, noise, block coding), found and gated by
the product's own detector and limits, once as a single look and once as the mean of a track.

Made modest on purpose: steepness at the lower and crossing at the upper end of their 95 % intervals over people,
and no ratio beyond what the number of people supports.
"""

_NO_WEIGHT = """
The reconstruction got no weight: beside the face as seen it told nothing more about who it is. It is shown to people
and has no part in a decision.
"""

_LIMITS = """
## Limits

- The people fitted on were photographed twice on one day. Photographs years apart are less alike, so the bias that
  this leaves is towards "not this person", not towards a name; LFW shows how much.
- Masks are synthetic, here and in the measurement. Real masks, hands and scarves are not measured.
- Groups (age, sex, origin) are not fitted apart. The people fitted on are mostly young adults from London.
- LFW's people may be among those that SFace was trained on, which flatters its figures.
- A calibration belongs to the two networks named above. With another embedder the matcher refuses it; with another
  unmasking network it shows reconstructions and does not count them.
"""


@dataclass(frozen=True, slots=True)
class About:
    """How a calibration came to be. photographs: in which a face was found. masks: those drawn on LFW."""

    command: str
    machine: str
    photographs: str
    masks: str
    space: str
    generator_sha256: str


def card(about: About, fitted: Mapping[str, Fitted], measured: Measured) -> str:
    """The whole card, Markdown."""
    parts = [
        _INTRODUCTION,
        f"Command: `{about.command}`\n",
        f"Machine: {about.machine}. Photographs with a face found: {about.photographs}.\n",
        f"Embedder: `{about.space}`\n",
        f"Unmasking network: `{about.generator_sha256}`\n",
        "## The fit\n",
        "Log loss (bits a pair at even odds; 1 is a coin) and ECE are of people held out, before made modest.\n",
        _fits(fitted),
    ]
    both = fitted.get("masked+unmasked")
    if both and not both.strength.slopes[1]:
        parts.append(_NO_WEIGHT)
    if measured:
        parts += ["\n## Measured on LFW (never fitted on)\n", _lfw(about, measured)]
    return "\n".join([*parts, _LIMITS])


def _fits(fitted: Mapping[str, Fitted]) -> str:
    rows = []
    for name, f in fitted.items():
        each = zip(MODELS[name], f.strength.slopes, f.estimate, strict=False)
        rows.append(
            (
                name,
                ", ".join(f"{kind} {slope:.1f} ({before:.1f})" for kind, slope, before in each),
                f"{f.crossing:.3f} [{f.crossing_interval[0]:.3f}, {f.crossing_interval[1]:.3f}]",
                f"1 [{f.slope_interval[0]:.2f}, {f.slope_interval[1]:.2f}]",
                f"{f.strength.lower:.1f} to {f.strength.upper:.1f}",
                f"{f.people}",
                f"{f.strangers}",
                f"{f.log_loss:.4f}",
                f"{f.ece:.4f}",
            )
        )
    return _table(
        "model, slopes (before made modest), crossing [95 %], steepness [95 %], bounds of log LR, people,"
        " pairs of two, log loss, ECE",
        rows,
    )


def _lfw(about: About, measured: Measured) -> str:
    pairs, details, galleries = [], [], []
    for condition, (v, found) in measured.items():
        ece = f"{v.ece:.4f} [{v.interval[0]:.4f}, {v.interval[1]:.4f}]"
        at = (f"{v.true_at:.2%}", f"{v.false_at:.2%}")
        pairs.append((condition, f"{v.pairs}", f"{v.failed}", ece, f"{v.log_loss:.4f}", *at))
        rows = [(f"{said:.3f}", f"{true:.3f}", f"{count}") for said, true, _, count in v.rows]
        details.append(f"{condition[0].upper()}{condition[1:]}:\n\n" + _table("said, true, pairs", rows))
        for g in found:
            shares = (f"{g.named_right:.2%}", f"{g.strangers_named:.2%}", f"{g.named_wrong:.2%}")
            galleries.append((condition, f"{g.gallery}", f"{g.probes}", f"{g.ece:.4f}", *shares))
    columns = "condition, pairs, no face or unfit, ECE [95 %], log loss, one person at 0.9, two people at 0.9"
    wide = (
        "condition, enrolled, faces, ECE of the first candidate, enrolled and named, strangers named,"
        " of all names wrong"
    )
    return "\n".join(
        [
            f"First photograph enrolled, second seen. Masks: {about.masks}.\n",
            "### Pairs, at even odds\n",
            _table(columns, pairs),
            *details,
            "### One look against a gallery, half of the faces enrolled, named at 0.9\n",
            _table(wide, galleries),
        ]
    )


def _table(columns: str, rows: Iterable[Sequence[str]]) -> str:
    names = columns.split(", ")
    return "\n".join(f"| {' | '.join(row)} |" for row in (names, ["---"] * len(names), *rows)) + "\n"
