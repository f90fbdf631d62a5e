"""What a comparison of settings found, for people: a sentence, and an HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

from stream.overlay import NAMED, NAMED_MASKED, UNDECIDED, UNKNOWN, percent
from stream.replay.pairing import Findings, Kind, Pair, Track
from stream.replay.selection import local

_WIDTH, _BAR, _GAP, _LABEL = 1000, 14, 4, 96  # of a timeline, in its own units
_MOST_STILLS = 400
_STYLE = """
:root { color-scheme: light dark; --ink: #14181d; --dim: #5c6670; --ground: #fff; --line: #d9dee3; --lane: #f1f4f7 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ecf0; --dim: #98a3ae; --ground: #14181d; --line: #2d353d; --lane: #1c2228 }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); max-width: 1120px;
  margin: 0 auto; padding: 24px 20px 60px }
h1 { font-size: 26px; margin: 0 0 8px } h2 { font-size: 18px; margin: 36px 0 10px }
p.sentence { font-size: 17px; max-width: 75ch } p.dim, td.dim, .legend { color: var(--dim) }
table { border-collapse: collapse; width: 100% } th { text-align: left; color: var(--dim); font-weight: 500 }
th, td { padding: 7px 12px 7px 0; border-bottom: 1px solid var(--line); vertical-align: middle }
img { height: 72px; border-radius: 4px; display: block } code { font-size: 14px }
ul.counts { list-style: none; display: flex; flex-wrap: wrap; gap: 10px; padding: 0 }
ul.counts li { border: 1px solid var(--line); border-radius: 8px; padding: 8px 14px; min-width: 84px }
ul.counts b { display: block; font-size: 22px } svg { width: 100%; height: auto; display: block }
svg text { fill: var(--dim); font-size: 12px } .lane { fill: var(--lane) }
.mark { stroke: var(--ink); stroke-width: 2; fill: none }
.legend span { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin: 0 5px 0 14px }
"""
_TOLD = {
    Kind.FOUND: "would have been found",
    Kind.MISSED: "missed",
    Kind.RENAMED: "named differently",
    Kind.CONFUSED: "confused",
    Kind.JUDGED: "judged differently without a name",
    Kind.SEEN: "seen only by the others",
    Kind.UNSEEN: "not seen by the others",
}
_LEGEND = (
    ("named", NAMED),
    ("named behind a mask", NAMED_MASKED),
    ("unknown", UNKNOWN),
    ("no decision", UNDECIDED),
)


def sentence(findings: Findings, other: Path) -> str:
    """What was compared, and what came of it."""
    how = "every recorded frame" if findings.every_frame else "the frames that were processed live"
    changed = "; ".join(
        f"{key} {_plain(new)} instead of {_plain(old)}"
        for key, (old, new) in sorted(findings.changes.items())
    )
    changed = changed or "nothing that what is seen hangs on"
    told = [f"{findings.count(kind)} {words}" for kind, words in _TOLD.items() if findings.count(kind)]
    came = f"{', '.join(told)}, and {findings.count(Kind.SAME)} are the same" if told else "all are the same"
    return (
        f"Compared {len(findings.pairs)} sightings on {findings.frames} frames ({how}) of "
        f"{', '.join(findings.cameras)}, {local(findings.from_ns)[:19]} to {local(findings.to_ns)[:19]}: the recorded "
        f"settings against those of {other.name}, which change {changed}. Of the sightings, {came}."
    )


def decision(track: Track | None) -> str:
    """What was decided of a sighting in the end, for people."""
    if track is None:
        return "not seen"
    if track.decision == "undecided":
        return "no decision"
    name = track.person or "unknown"
    said = name if track.probability is None else f"{name} {percent(track.probability)}"
    before = [other for other in track.names if other != track.person]
    return f"{said} (before: {', '.join(before)})" if before else said


def write_page(findings: Findings, other: Path, path: Path) -> None:
    """Write the page, which names people: only its owner may read it. Raises OSError."""
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(page(findings, other))
    part.replace(path)


def page(findings: Findings, other: Path) -> str:
    """The page."""
    counts = "".join(f"<li><b>{findings.count(kind)}</b>{kind}</li>" for kind in Kind if findings.count(kind))
    changes = "".join(
        f"<tr><td><code>{escape(key)}</code></td><td>{escape(_plain(old))}</td><td>{escape(_plain(new))}</td></tr>"
        for key, (old, new) in sorted(findings.changes.items())
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in findings.notes)
    order = list(Kind)
    changed = [pair for pair in findings.pairs if pair.kind is not Kind.SAME]
    changed.sort(key=lambda pair: (order.index(pair.kind), pair.first_ns))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>What if: {escape(other.name)}</title><style>{_STYLE}</style></head><body>
<h1>What if: {escape(other.name)}</h1>
<p class="sentence">{escape(sentence(findings, other))}</p>
<ul class="counts">{counts}</ul>
<p class="dim">Probabilities are calibrated; a name is a claim of the matcher, not a fact. This page names people:
keep it as you keep the footage.</p>
<h2>Settings</h2>
<table><tr><th>setting</th><th>recorded</th><th>{escape(other.name)}</th></tr>{changes}</table>
<h2>Timeline</h2>{_legend()}
{"".join(_timeline(camera, findings) for camera in findings.cameras)}
<h2>What differs</h2>{_table(changed, other) if changed else "<p>Nothing.</p>"}
<h2>All sightings</h2>{_table(findings.pairs, other, stills=False)}
{f"<h2>Notes</h2><ul>{notes}</ul>" if notes else ""}
</body></html>
"""


def _table(pairs: Sequence[Pair], other: Path, stills: bool = True) -> str:
    rows = []
    for number, pair in enumerate(pairs):
        still = ""
        if stills:
            still = f"<td>{_image(pair) if number < _MOST_STILLS else ''}</td>"
        rows.append(
            f"<tr>{still}<td>{pair.kind}</td><td>{escape(pair.camera)}</td>"
            f'<td class="dim">{local(pair.first_ns)[:19]}<br>{(pair.last_ns - pair.first_ns) / 1e9:.1f} s</td>'
            f"<td>{escape(decision(pair.recorded))}</td><td>{escape(decision(pair.other))}</td></tr>"
        )
    head = "<th>face</th>" if stills else ""
    return (
        f"<table><tr>{head}<th>what</th><th>camera</th><th>when</th><th>recorded settings</th>"
        f"<th>{escape(other.name)}</th></tr>{''.join(rows)}</table>"
    )


def _image(pair: Pair) -> str:
    data = base64.b64encode(pair.still).decode()
    return f'<img alt="face" src="data:image/jpeg;base64,{data}">'


def _legend() -> str:
    parts = "".join(f'<span style="background:{_css(colour)}"></span>{name}' for name, colour in _LEGEND)
    return f'<p class="legend">{parts}<span style="border:2px solid"></span>differs</p>'


def _timeline(camera: str, findings: Findings) -> str:
    pairs = [pair for pair in findings.pairs if pair.camera == camera]
    rows = _rows(pairs)
    height_of = max(1, max(rows.values(), default=0) + 1) * (_BAR + _GAP) + _GAP
    began, length = findings.from_ns, max(1, findings.to_ns - findings.from_ns)
    parts = []
    for lane, name in enumerate(("recorded", "other")):
        top = 18 + lane * (height_of + 8)
        parts.append(
            f'<rect class="lane" x="{_LABEL}" y="{top}" width="{_WIDTH - _LABEL}" height="{height_of}" rx="4"/>'
        )
        parts.append(f'<text x="0" y="{top + height_of / 2 + 4:.0f}">{name}</text>')
        drawn: set[Track] = set()
        for pair in pairs:
            track = pair.other if lane else pair.recorded
            if track is None or track in drawn:
                continue
            drawn.add(track)
            x, end = (
                _LABEL + (_WIDTH - _LABEL) * (at - began) / length for at in (track.first_ns, track.last_ns)
            )
            mark = "" if pair.kind is Kind.SAME else ' class="mark"'
            style = f"fill:{_css(_colour(track))}"
            parts.append(
                f'<rect{mark} style="{style}" x="{x:.1f}" y="{top + _GAP + rows[pair] * (_BAR + _GAP)}" '
                f'width="{max(3.0, end - x):.1f}" height="{_BAR}" rx="3">'
                f"<title>{escape(decision(track))}, {pair.kind}, {local(track.first_ns)}</title></rect>"
            )
    bottom = 18 + 2 * (height_of + 8)
    parts.append(f'<text x="{_LABEL}" y="{bottom + 10}">{local(began)[:19]}</text>')
    parts.append(
        f'<text x="{_WIDTH}" y="{bottom + 10}" text-anchor="end">{local(findings.to_ns)[:19]}</text>'
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {bottom + 16}" role="img" aria-label="{escape(camera)}">'
        f'<text x="0" y="12" style="font-weight:600">{escape(camera)}</text>{"".join(parts)}</svg>'
    )


def _rows(pairs: Sequence[Pair]) -> dict[Pair, int]:
    """A row for each pair, so that no two bars lie on each other."""
    ends: list[int] = []
    rows: dict[Pair, int] = {}
    for pair in sorted(pairs, key=lambda pair: pair.first_ns):
        row = next((n for n, end in enumerate(ends) if end < pair.first_ns), len(ends))
        ends[row : row + 1] = [pair.last_ns]
        rows[pair] = row
    return rows


def _colour(track: Track) -> tuple[int, int, int]:
    if track.decision == "person":
        return NAMED_MASKED if track.masked else NAMED
    return UNKNOWN if track.decision == "nobody" else UNDECIDED


def _css(colour: tuple[int, int, int]) -> str:
    blue, green, red = colour
    return f"#{red:02x}{green:02x}{blue:02x}"


def _plain(value: object) -> str:
    """A setting's value as YAML has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"[{', '.join(_plain(item) for item in value)}]" if isinstance(value, list | tuple) else str(value)
