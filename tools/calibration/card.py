"""The card that lies beside calibration.json: how it was made, what was measured, and what it cannot do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engines.recognition.calibration import MODELS
from tools.calibration.fit import Fitted
from tools.calibration.lfw import Identification, Verification

Measured = Mapping[str, tuple[Verification, Sequence[Identification]]]

_INTRODUCTION = """# calibration.json

How cosines between embeddings become a likelihood ratio, and so a probability
(`engines/recognition/calibration.py`, `matcher.py`). One model for each condition and set of evidence; its terms are
explained in `engines/recognition/evidence.py`.

Fitted on the Face Research Lab London Set (DeBruine and Jones, 2017, CC BY 4.0; 102 people who consented, a neutral
and a smiling photograph each) and on validation faces of FairFace (Kärkkäinen and Joo, 2021, CC BY 4.0) as further
strangers. This project trained no network on these people; the unmasking network learnt from FairFace's training
faces, and so did the robust embedder. Every probe is the other photograph of the person, seen by a simulated camera
(`tools/calibration/cctv.py`: 14 to 56 pixels between the eyes, blur, light, noise, block coding), found and gated by
the product's own detector and limits, once as a single look and once as the mean of a track.

Before two vectors are compared, half of the mean of all strangers under that condition is taken off each
(`engines/recognition/centring.py`). The "plain" models are of the bare cosine of two embeddings, for searches of the
archive and the advice at enrolment.

A model is `log LR = steepness t + bend max(t, 0)^2` with t the (shared) cosine less the crossing, fitted by the log
loss averaged over odds of 1/2, 1/20, 1/200 and 1/2000, those that one person among the enrolled has. Eye distance
and sharpness gate and weigh looks; they are not in the models, since they would make the model ask of sharp faces
the likeness of two photographs of one day.

The terms of the face as seen share alike; the reconstruction gets what it adds to their mean. Fitted shares went to
the robust embedder (raw 0, robust .39 to .57), which learnt from drawn masks, as these are. On LFW with photographed
masks that was worse than the face as seen alone. It was noticed there; the equal shares are not fitted to it.

The form of the model (the bend, the odds averaged over) was chosen after a first measurement on LFW had shown a
straight one to be needlessly modest behind masks, and because it lost less on people held out. No number comes
from LFW.

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
- LFW's people may be among those that the embedder was trained on, which flatters its figures.
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
        "Losses (shares of what a guess by the odds alone costs) and ECE are of people held out, before made modest.\n",
        _fits(fitted),
    ]
    both = fitted.get("masked+unmasked")
    if both and not both.strength.shares[-1]:
        parts.append(_NO_WEIGHT)
    if measured:
        parts += ["\n## Measured on LFW (never fitted on)\n", _lfw(about, measured)]
    return "\n".join([*parts, _LIMITS])


def _fits(fitted: Mapping[str, Fitted]) -> str:
    rows = []
    for name, f in fitted.items():
        used, before = f.strength, f.estimate
        rows.append(
            (
                name,
                ", ".join(
                    f"{term} {share:.2f}" for term, share in zip(MODELS[name], used.shares, strict=True)
                ),
                f"{used.crossing:.3f} ({before.crossing:.3f} [{f.crossing[0]:.3f}, {f.crossing[1]:.3f}])",
                f"{used.steepness:.1f} ({before.steepness:.1f} x [{f.steepness[0]:.2f}, {f.steepness[1]:.2f}])",
                f"{used.bend:.0f} ({before.bend:.0f})",
                f"{used.lower:.1f} to {used.upper:.1f}",
                f"{used.strangers[0]:.3f} ± {used.strangers[1]:.3f}",
                f"{f.people}",
                f"{f.strangers}",
                f"{f.log_loss[0]:.4f}",
                f"{f.log_loss[1]:.4f}",
                f"{f.ece:.4f}",
            )
        )
    return _table(
        "model; shares; crossing (estimate [95 %]); steepness (estimate x [95 %]); bend (estimate); bounds of log LR;"
        " tail of strangers;"
        " people; pairs of two; loss at even odds; loss at 1 in 100; ECE",
        rows,
    )


def _lfw(about: About, measured: Measured) -> str:
    pairs, details, galleries = [], [], []
    for condition, (v, found) in measured.items():
        ece = f"{v.ece:.4f} [{v.interval[0]:.4f}, {v.interval[1]:.4f}]"
        at = (f"{v.true_at:.2%}", f"{v.false_at:.2%}")
        pairs.append((condition, f"{v.pairs}", f"{v.failed}", ece, f"{v.log_loss:.4f}", *at))
        rows = [(f"{said:.3f}", f"{true:.3f}", f"{count}") for said, true, _, count in v.rows]
        details.append(f"{condition[0].upper()}{condition[1:]}:\n\n" + _table("said; true; pairs", rows))
        for g in found:
            shares = (f"{g.named_right:.2%}", f"{g.strangers_named:.2%}", f"{g.named_wrong:.2%}")
            galleries.append((condition, f"{g.gallery}", f"{g.probes}", f"{g.ece:.4f}", *shares))
    columns = "condition; pairs; no face or unfit; ECE [95 %]; loss; one person at 0.9; two people at 0.9"
    wide = (
        "condition; enrolled; faces; ECE of the first candidate; enrolled and named; strangers named;"
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
    names = columns.split("; ")
    return "\n".join(f"| {' | '.join(row)} |" for row in (names, ["---"] * len(names), *rows)) + "\n"
