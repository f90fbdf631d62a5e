"""An evaluation as one HTML file that stands by itself: no scripts, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import stream
from stream.moments import iso

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #131b24; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0 1.4rem; }
td, th { text-align: left; padding: 5px 10px; border-bottom: 1px solid #ccd5df; }
.dim { color: #4c5b6b; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1.1rem; }
"""
CONDITIONS = (("bare", "as they are"), ("masked", "with a mask drawn on"))
KINDS = (
    ("missed", "Enrolled, and not named"),
    ("confused", "Enrolled, and named as somebody else"),
    ("false_alarms", "Not enrolled, and named"),
)
_WEEK = ("week from", "faces", "named", "nobody", "no decision", "likeness of those named")
_BEFORE = ("when", "missed, bare", "false alarms, bare", "missed, masked", "false alarms, masked")
LIMITS = (
    "Pictures of enrolment are large, sharp and from the front. Faces in the street are missed more often.",
    "The masks are drawn, by the same means by which the networks were taught; worn ones may do worse.",
    "Each picture was asked with itself left out, each stranger with all pictures of that person left out. Decisions "
    "are those of a single look; live, several looks make a decision surer.",
    "Intervals hold the true figure in 95 of 100 such galleries; people were drawn anew for them.",
)


def report(results: list[dict[str, Any]]) -> str:
    """The document. results: the newest first, at least one."""
    newest = results[0]
    faces = newest["faces"]
    about = (
        f"{_moment(newest)} · Unvizard {stream.__version__} · {faces['people']} people, {faces['pictures']} pictures "
        f"({faces['skipped']} of them not kept, so not tried) · named from {faces['decide_at']:.0%} · "
        f"calibration {faces['calibration'][:12]}"
    )
    kept = [
        f"{title}: {verdict(faces[name]['false_alarms'], faces['wanted'])}." for name, title in CONDITIONS
    ]
    parts = [
        "<h1>Recognition on our own faces</h1>",
        f'<p class="dim">{escape(about)}</p>',
        *(_condition(faces, name, title) for name, title in CONDITIONS),
        f"<p>Wanted of people who are not enrolled and are named: {_share(faces['wanted'])}.",
        f"{escape(' '.join(kept))}</p>",
        "<h2>Over time, from what was recorded</h2>",
        _table(_WEEK, [_week(week) for week in newest["weeks"]] or [("nothing was recorded",)]),
        "<h2>Evaluations so far</h2>",
        _table(_BEFORE, [_before(result) for result in results]),
        "<h2>What these figures do not say</h2>",
        f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in LIMITS)}</ul>",
    ]
    head = f'<meta charset="utf-8"><title>Recognition on our own faces</title><style>{_STYLE}</style>'
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def percent(rate: dict[str, Any]) -> str:
    """A rate with its interval, or that there is not enough data."""
    if rate["value"] is None:
        return "not enough data"
    return f"{_share(rate['value'])} [{_share(rate['low'])} to {_share(rate['high'])}]"


def verdict(rate: dict[str, Any], wanted: float) -> str:
    """Whether a wanted rate is kept, as far as can be told."""
    if rate["value"] is None:
        return "not enough data to tell whether that is kept"
    if rate["low"] > wanted:
        return "more than wanted"
    if rate["high"] <= wanted:
        return "kept"
    return f"cannot be told from {rate['people']} people; about {3 / wanted:,.0f} would be needed"


def _condition(faces: dict[str, Any], name: str, title: str) -> str:
    rows = []
    for kind, words in KINDS:
        rate = faces[name][kind]
        rows.append(
            (words, percent(rate), f"{rate['probes']} pictures of {rate['people']} people", rate["said"])
        )
    return f"<h2>Faces {escape(title)}</h2>{_table((), rows)}"


def _week(week: dict[str, Any]) -> tuple[str, ...]:
    likeness = (
        "not enough data" if week["likeness"] is None else f"{week['likeness']:.3f} of {week['compared']}"
    )
    counts = (str(week[key]) for key in ("seen", "named", "nobody", "undecided"))
    return (iso(week["began_ms"] * 1_000_000)[:10], *counts, likeness)


def _before(result: dict[str, Any]) -> tuple[str, ...]:
    kinds = [(name, kind) for name, _ in CONDITIONS for kind in ("missed", "false_alarms")]
    return (_moment(result), *(percent(result["faces"][name][kind]) for name, kind in kinds))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return f"<table><tr>{top}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _moment(result: dict[str, Any]) -> str:
    return iso(result["wall_ms"] * 1_000_000)[:16].replace("T", " ") + " UTC"


def _share(value: float) -> str:
    return f"{100 * value:.3g} %"
