"""What `unvizard footage` says, as lines for people and as plain values."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from stream.archive.archive import Receipt
from stream.archive.footage import Segment, Span, joined
from stream.archive.incidents import Delivery
from stream.archive.sightings import Sighting, Timeline
from stream.events.document import REDUCED
from tools.footage.local_times import show_span, show_time

_GAPS_SHOWN = 10
_BAR = 40
_KINDS = (("person", "█"), ("nobody", "▒"), ("undecided", "░"))
_WHO = {"nobody": "nobody enrolled", "undecided": "no decision"}
_REDUCED = REDUCED.partition(", ")[2]


def recorded(camera: str, segments: Sequence[Segment]) -> Iterator[str]:
    """What there is of a camera."""
    if not segments:
        yield f"{camera}: no footage"
        return
    spans = joined((segment.began_ns, segment.ended_ns) for segment in segments)
    size = sum(segment.bytes for segment in segments)
    length = sum(ended - began for began, ended in spans) / 1e9
    yield (
        f"{camera}: {show_time(spans[0][0])} to {show_time(spans[-1][1])}, {show_span(length)} recorded in "
        f"{_count(len(segments), 'segment')}, {size / 1e6:.1f} MB"
    )
    sizes = dict.fromkeys(f"{each.codec} {each.width}x{each.height}" for each in segments)
    kept, broken = sum(each.protected for each in segments), sum(not each.complete for each in segments)
    yield f"  {', '.join(sizes)}; {kept} protected; {broken} not ended in order (cut off, or being written)"
    gaps = [(ended, began) for (_, ended), (began, _) in itertools.pairwise(spans)]
    for began, ended in gaps[-_GAPS_SHOWN:]:
        yield f"  gap: {show_time(began)} to {show_time(ended)} ({show_span((ended - began) / 1e9)})"
    if len(gaps) > _GAPS_SHOWN:
        yield f"  and {len(gaps) - _GAPS_SHOWN} gaps before these; narrow the time with --from and --to"


def histogram(timeline: Timeline, bin_ns: int) -> Iterator[str]:
    """Of each camera and bin a bar; several bins without anybody are one line."""
    yield f"{show_time(timeline.from_ns)} to {show_time(timeline.to_ns)}; faces by the hour in which they came"
    totals = {
        camera: [sum(bins) for bins in zip(*(kinds[kind] for kind, _ in _KINDS), strict=True)]
        for camera, kinds in timeline.counts.items()
    }
    most = max((max(bins) for bins in totals.values()), default=0)
    for camera, kinds in timeline.counts.items():
        yield f"{camera}: {_count(sum(totals[camera]), 'sighting')}, {sum(kinds['masked'])} with a mask"
        empty = 0
        for place, total in enumerate(totals[camera]):
            if not total:
                empty += 1
                continue
            if empty:
                yield f"  · {_count(empty, 'hour')} without anybody"
                empty = 0
            bar = "".join(sign * round(_BAR * kinds[kind][place] / most) for kind, sign in _KINDS)
            yield f"  {show_time(timeline.from_ns + place * bin_ns)}  {bar or '▏'} {total}"
    if most:
        yield "█ a person enrolled   ▒ nobody enrolled   ░ no decision"
    else:
        yield "nobody was seen"


def who(sighting: Sighting) -> str:
    """In a few words."""
    name = sighting.person if sighting.decision == "person" and sighting.person else _WHO[sighting.decision]
    return name if sighting.probability is None else f"{name} ({percent(sighting.probability)})"


def percent(probability: float) -> str:
    """Rounded down: 99.96 % must not read as certain."""
    return f"{int(probability * 1000) / 10:.1f} %"


def mask(sighting: Sighting) -> str:
    """Its state, with the warning that belongs to it."""
    state = "" if sighting.mask is None else sighting.mask.replace("_", " ")
    return f"{state}, {_REDUCED}" if sighting.masked and sighting.decision != "undecided" else state


def print_sightings(found: Sequence[Sighting]) -> None:
    """A table."""
    if not found:
        print("no sighting")
        return
    table = Table("ID", "from", "for", "camera", "who", "mask", "kept")
    for each in found:
        length = show_span((each.last_ns - each.first_ns) / 1e9)
        protected = "protected" if each.protected else ""
        table.add_row(
            str(each.id), show_time(each.first_ns), length, each.camera, who(each), mask(each), protected
        )
    _print(table)


def print_likeness(found: Sequence[tuple[Sighting, float, float | None]], prior: float) -> None:
    """A table, and what it does not say. found: sighting, similarity, probability."""
    if not found:
        print(
            "no face was measured in these recordings that could be compared (recording.keep_faces; only faces "
            "measured by the same recognition.embedder can be)"
        )
        return
    table = Table("ID", "similarity", "same person", "from", "camera", "decided when seen", "mask")
    for each, similarity, probability in found:
        table.add_row(
            str(each.id),
            f"{similarity:.3f}",
            "-" if probability is None else percent(probability),
            show_time(each.first_ns),
            each.camera,
            who(each),
            mask(each),
        )
    _print(table)
    print(
        "A likeness is no identification. Similarity is a cosine: 1 is the same picture, about 0 are two strangers,"
        " and relatives lie between. Same person: calibrated, if before looking it was "
        f"{percent(prior)} probable (recognition.prior_enrolled) for each of them;"
        " - where that was not measured. The more is searched, the more lookalikes are found."
    )


def whole(sighting: Sighting) -> Iterator[str]:
    """Everything but the pictures."""
    yield f"sighting {sighting.id}: {who(sighting)}, camera {sighting.camera}" + (
        ", protected" if sighting.protected else ""
    )
    length = show_span((sighting.last_ns - sighting.first_ns) / 1e9)
    yield f"{show_time(sighting.first_ns)} to {show_time(sighting.last_ns)} ({length})"
    yield f"mask: {mask(sighting) or 'not judged'}"
    for candidate in sighting.candidates:
        evidence = ", ".join(f"{kind} {value:.3f}" for kind, value in candidate.evidence.items())
        before = "" if candidate.as_seen is None else f", {percent(candidate.as_seen)} before unmasking"
        yield f"candidate: {candidate.person}, {percent(candidate.probability)}{before} (similarity: {evidence})"
    for name, value in sighting.versions.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for part, version in parts:
            plain = " ".join(map(str, version.values())) if isinstance(version, dict) else version
            yield " ".join(filter(None, (name, part))) + f": {plain}"
    yield f"track {sighting.track} of inference process {sighting.epoch}, run {sighting.run}"


def pictures(sighting: Sighting) -> dict[str, bytes]:
    """By the name of their file."""
    found = {
        "look.jpg": sighting.look,
        "original.png": sighting.original,
        "reconstruction.png": sighting.reconstruction,
    }
    return {f"sighting-{sighting.id}-{name}": data for name, data in found.items() if data}


def sighting_values(sighting: Sighting) -> dict[str, object]:
    """Plain values, for JSON. Times: UTC nanoseconds, and as text of this machine's zone."""
    return {
        "id": sighting.id,
        "camera": sighting.camera,
        "first": show_time(sighting.first_ns),
        "last": show_time(sighting.last_ns),
        "first_ns": sighting.first_ns,
        "last_ns": sighting.last_ns,
        "decision": sighting.decision,
        "person": sighting.person,
        "probability": sighting.probability,
        "mask": sighting.mask,
        "masked": sighting.masked,
        "candidates": [
            {
                "person": each.person,
                "probability": each.probability,
                "as_seen": each.as_seen,
                "evidence": each.evidence,
            }
            for each in sighting.candidates
        ],
        "run": sighting.run,
        "epoch": sighting.epoch,
        "track": sighting.track,
        "protected": sighting.protected,
        "versions": sighting.versions,
    }


def delivered(deliveries: Sequence[Delivery], everything: bool) -> Iterator[str]:
    """How each receiver stands, and what waits for it."""
    by_target: dict[str, list[Delivery]] = defaultdict(list)
    for each in deliveries:
        by_target[each.target].append(each)
    if not by_target:
        yield "nothing was to be delivered"
    for target, theirs in sorted(by_target.items()):
        waiting = [each for each in theirs if each.done_ns is None]
        lost = [each for each in theirs if each.done_ns is not None and each.error]
        taken = len(theirs) - len(waiting) - len(lost)
        yield f"{target}: {taken} delivered, {len(waiting)} waiting, {len(lost)} given up"
        shown = theirs if everything else [*lost, *waiting]
        for each in shown:
            yield f"  event {each.event}: {_state(each)}"


def protections(kept: Sequence[tuple[str, Span]]) -> Iterator[str]:
    """What is protected."""
    for name, span in kept:
        what = "span" if name.startswith("span ") else name
        yield f"{what}: {show_time(span.from_ns)} to {show_time(span.to_ns)}, {span.camera or 'all cameras'}"
    if not kept:
        yield "nothing is protected"


def protectable(what: Segment | Sighting | Span) -> str:
    """By the name that people gave it."""
    if isinstance(what, Span):
        return f"{show_time(what.from_ns)} to {show_time(what.to_ns)}, {what.camera or 'all cameras'}"
    return f"{'segment' if isinstance(what, Segment) else 'sighting'} {what.id}"


def receipt(proof: Receipt) -> Iterator[str]:
    """What was erased, and its proof."""
    yield (
        f"erased {proof.name}: from {_count(proof.sightings, 'sighting')}, {_count(proof.frames, 'frame')} and "
        f"{_count(proof.events, 'event')}"
    )
    if proof.copies:
        yield f"{proof.copies} damaged databases that had been set aside were removed"
    yield "the footage itself may still show the person until it expires"
    yield (
        f"receipt: person {proof.person}, {show_time(proof.wall_ns)}, line {proof.sequence} of the log, "
        f"mark {proof.mark.hex()}"
    )
    if not proof.scrubbed:
        yield "note: another process was reading; the erased bytes are overwritten when the archive is next opened"


def _state(delivery: Delivery) -> str:
    tries = "1 try" if delivery.attempts == 1 else f"{delivery.attempts} tries"
    if delivery.done_ns is None:
        return f"waits after {tries}, next at {show_time(delivery.next_ns)}" + (
            f": {delivery.error}" if delivery.error else ""
        )
    if delivery.error:
        return f"given up {show_time(delivery.done_ns)} after {tries}: {delivery.error}"
    return f"delivered {show_time(delivery.done_ns)} after {tries}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _print(table: Table) -> None:
    Console(markup=False, highlight=False).print(table)
