"""The part of the report that says how sure a decision is, and lets the reader put in another prior."""

from __future__ import annotations

from stream.archive.verdicts import Standing
from stream.evidence.case import Case
from stream.evidence.likelihood import in_words, likelihood_ratio, rounded, with_prior
from stream.evidence.page import paragraph, section, table
from stream.moments import utc

_PRIORS = (0.5, 0.1, 0.01, 0.001)
KINDS = {
    "raw": "face as seen",
    "upper": "upper face alone",
    "robust": "by the network trained on masks",
    "rendered": "the same, with masks drawn on the photographs",
    "unmasked": "with the guess",
}
"""In the order in which they are shown."""


def percent(share: float | None) -> str:
    """A share as people read it: 97 %, 99.6 %, and neither 0 % nor 100 % for what is not certain."""
    if share is None:
        return "probability not known"
    if share > 0.999:
        return "over 99.9 %"
    if share < 0.001:
        return "under 0.1 %"
    return (
        f"{share:.1%}".replace("%", " %") if not 0.05 <= share <= 0.95 else f"{share:.0%}".replace("%", " %")
    )


def certainty(case: Case) -> str:
    """The section, for whatever was decided."""
    sighting = case.sighting
    parts = [_meaning(case)]
    if sighting.candidates:
        parts.append(_candidates(case))
        parts += _evidence(case, sighting.person) if sighting.person else []
    return section("How sure, and what that means", *parts)


def confirmation(standing: Standing, person: str | None) -> list[tuple[str, str]]:
    """What people said of the name, each for themselves."""
    if person is None:
        return []
    needed = "1 person has" if standing.needed == 1 else f"{standing.needed} people have"
    said = [
        f"{verdict.said} by {verdict.account}, {utc(verdict.at_ns)}"
        + (f" (“{verdict.note}”)" if verdict.note else "")
        for verdict in standing.verdicts
    ]
    words = {
        "open": f"no; {needed} to confirm it here",
        "waiting": f"not yet; {needed} to confirm it here",
        "confirmed": "yes",
        "refused": "no, it was refused",
        "disputed": "no, people disagree",
    }
    return [("Name confirmed by people", "; ".join([words[standing.state], *said]))]


def _meaning(case: Case) -> str:
    decision, sure = case.sighting.decision, percent(case.sighting.probability)
    if decision == "person":
        text = (
            f"A probability of {sure} means: of many decisions with this figure about so many in a hundred are right, "
            "when cameras and people are like those that the program was tested with. The others are wrong, and "
            "nothing shows which."
        )
    elif decision == "nobody":
        text = (
            f"So high ({sure}) is the probability that this is none of the people enrolled. It says nothing about who "
            "it is."
        )
    else:
        text = (
            "No probability was high enough for a decision, or there were too few good looks at the face. Any figures "
            "below are what the program had; they must not be read as a decision."
        )
    return paragraph(text)


def _candidates(case: Case) -> str:
    candidates = case.sighting.candidates
    found = {kind for c in candidates for kind in c.evidence}
    kinds = [kind for kind in KINDS if kind in found] + sorted(found - KINDS.keys())
    guessed = any(c.as_seen is not None for c in candidates)
    rows = [
        [
            c.person,
            *([percent(c.probability if c.as_seen is None else c.as_seen)] if guessed else []),
            percent(c.probability),
            *(f"{c.evidence[k]:.3f}" if k in c.evidence else "" for k in kinds),
        ]
        for c in candidates
    ]
    rest = 1 - sum(c.probability for c in candidates)
    if 0 < rest < 1:
        rows.append(["none of these", *([""] if guessed else []), percent(rest), *("" for _ in kinds)])
    before = ["probability, by the face as seen"] if guessed else []
    after = "probability, with the guess, which can only lower it" if guessed else "probability"
    heads = ["enrolled person", *before, after, *(f"similarity, {KINDS.get(k, k)}" for k in kinds)]
    marked = next((i for i, c in enumerate(candidates) if c.person == case.sighting.person), None)
    note = "Similarity goes from −1 to 1; the same person usually has more than 0.4, but so has now and then another."
    return table(heads, rows, tuple(range(1, len(heads))), marked=marked) + paragraph(note, "dim small")


def _evidence(case: Case, person: str) -> list[str]:
    """The likelihood ratio in numbers and words, and the probability under other priors."""
    candidates, recognition = case.sighting.candidates, case.recognition
    prior, people = recognition.prior, recognition.people
    if prior is None:
        return [paragraph("The prior that these figures were made with is not known.")]
    parts = []
    if people and (ratio := likelihood_ratio(candidates, person, prior, people)) is not None:
        many = f"{people} people were" if people != 1 else "one person was"
        parts.append(
            paragraph(
                f"Evidence alone: this face is about {rounded(ratio)} times as likely to look like this "
                f"if it is {person} "
                f"than if it is somebody who is not enrolled: {in_words(ratio)} (scale of the European "
                "forensic institutes). "
                f"At that time {many} enrolled."
            )
        )
    parts.append(
        paragraph(
            "The probabilities also hold an assumption that was set before anybody looked: that "
            f"{percent(prior)} of all faces "
            "here belong to somebody enrolled. Whoever holds another share to be right reads off another "
            "probability for "
            f"{person}:"
        )
    )
    shares = sorted({*_PRIORS, prior}, reverse=True)
    rows = []
    for share in shares:
        other = with_prior(candidates, person, prior, share)
        one_in = f"{percent(share)} of the faces" + (" (as set)" if share == prior else "")
        rows.append((one_in, "" if other is None else percent(other)))
    parts.append(
        table(
            ("if so many belong to enrolled people", f"then it is {person} with"),
            rows,
            (1,),
            "priors",
            shares.index(prior),
        )
    )
    return parts
