"""What a probability of identity means: how much of it is evidence, and how much was assumed before.

A calibrated probability mixes two things by Bayes' rule: the strength of the evidence (a likelihood ratio), and the
prior. The reader of a report may hold another prior than the machine's settings, and must be able to put it in.
"""

from __future__ import annotations

from collections.abc import Sequence

from stream.messages import Candidate

_WORDS = (  # ENFSI Guideline for Evaluative Reporting in Forensic Science, 2015
    (1_000_000, "extremely strong"),
    (10_000, "very strong"),
    (1_000, "strong"),
    (100, "moderately strong"),
    (10, "moderate"),
    (2, "weak"),
)


def likelihood_ratio(candidates: Sequence[Candidate], person: str, prior: float, people: int) -> float | None:
    """How many times likelier this face is for the person than for somebody who is not enrolled.

    candidates: their probabilities, made with the prior (0 to 1) that is spread evenly over so many people. A lower
    bound, since what two kinds of evidence disagree about counts as "nobody". None when it cannot be told.
    """
    share = next((c.probability for c in candidates if c.person == person), 0.0)
    nobody = 1 - sum(c.probability for c in candidates)
    if people < 1 or not 0 < prior < 1 or share <= 0 or nobody <= 1e-12:
        return None
    return (share / nobody) * ((1 - prior) * people / prior)


def with_prior(candidates: Sequence[Candidate], person: str, prior: float, other: float) -> float | None:
    """The person's probability had another prior been held, both 0 to 1; None when it cannot be told."""
    share = next((c.probability for c in candidates if c.person == person), 0.0)
    named = sum(c.probability for c in candidates)
    if not (0 < prior < 1 and 0 < other < 1) or share <= 0:
        return None
    up, down = other / prior, (1 - other) / (1 - prior)
    return share * up / (named * up + max(0.0, 1 - named) * down)


def in_words(ratio: float) -> str:
    """A likelihood ratio as ENFSI's scale names it: "moderate support", "no support"."""
    for least, word in _WORDS:
        if ratio >= least:
            return f"{word} support"
    return "no support" if ratio >= 1 else "support against it"


def rounded(ratio: float) -> str:
    """A ratio with two digits that count: 1.8, 46, 3,400."""
    if ratio < 10:
        return f"{ratio:.2g}"
    digits = len(str(int(ratio))) - 2
    return f"{round(ratio, -digits):,.0f}"
