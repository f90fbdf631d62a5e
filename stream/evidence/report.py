"""The report of an evidence bundle: what was seen, when, how sure, what is a guess, and how to check all of it.

Written for somebody who was not in the room and does not know the program. It says nothing that is not in the bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import cv2
import numpy as np

from engines.unmasking.mark import CAPTION
from stream.evidence.bundle import BundledFile
from stream.evidence.case import Case, Custody, Still
from stream.evidence.certainty import certainty, confirmation, percent
from stream.evidence.page import (
    bullets,
    facts,
    figure,
    image,
    page,
    paragraph,
    section,
    table,
)
from stream.moments import local, utc

_WIDEST_STILL = 1280
_FRAME_NS = 120_000_000  # frames of a face no farther apart are drawn as one stretch
_MASKS = {
    "none": "no mask",
    "worn": "a mask",
    "worn_wrongly": "a mask, worn wrongly",
}
_CLOCKS = {
    "camera": "the camera's own clock, as the camera sent it (RTCP sender reports)",
    "here": "the clock of the machine that recorded, when the picture arrived there",
}


def render(case: Case, custody: Custody, files: Sequence[BundledFile], product: str) -> str:
    """The report as HTML. files: those in the bundle whose hashes are to be shown."""
    sighting = case.sighting
    title = f"A face on camera “{sighting.camera}”, {utc(sighting.first_ns)}"
    return page(
        title,
        [
            _opening(case, custody, title),
            *_original_frames(case),
            *_guess(case),
            certainty(case),
            _footage(case, files),
            _limits(case, custody),
            _checking(custody),
            _custody(case, custody, product),
            f"<footer>Sighting {sighting.id} · signed by installation {escape(custody.installation)} · "
            "this page is one file of the bundle; the bundle is the evidence.</footer>",
        ],
    )


def _opening(case: Case, custody: Custody, title: str) -> str:
    sighting = case.sighting
    seconds = max(0, sighting.last_ns - sighting.first_ns) / 1e9
    clock = {_CLOCKS[segment.clock] for segment in case.segments}
    rows = [
        ("Camera", sighting.camera),
        ("First seen", _both(sighting.first_ns)),
        ("Last seen", f"{_both(sighting.last_ns)}, {seconds:.1f} s later"),
        ("By which clock", " and ".join(sorted(clock)) or "not known: no footage"),
        ("Mask", _MASKS.get(str(sighting.mask), "not decided")),
        *confirmation(case.standing, sighting.person),
        ("Frames with this face", f"{sum(case.face(frame) is not None for frame in case.frames):,}"),
        ("Handed over by", f"{custody.exported_by}, {custody.exported}"),
        ("Reason given", custody.reason),
    ]
    said = f'<p class="said">{escape(_finding(case))}</p>{facts(rows)}'
    look = ""
    if sighting.look:
        caption = "The best view of the face, cut from a frame as it was. Nothing is added."
        if case.veiled:
            caption = (
                "The best view of the face. Whoever was not recognised was made unrecognisable for good."
            )
        look = figure(image(sighting.look, "jpeg", "The face as it was seen"), caption)
    return (
        f'<header><p class="over">Evidence report · sighting {sighting.id}</p><h1>{escape(title)}</h1></header>'
        f'<div class="finding{"" if look else " alone"}">{look}<div>{said}</div></div>'
    )


def _finding(case: Case) -> str:
    """The decision in one sentence, with its probability and without more certainty than it has."""
    sighting = case.sighting
    sure = percent(sighting.probability)
    if sighting.decision == "person":
        return (
            f"The program says: probably {sighting.person}, {sure}. "
            "That is a judgement by a machine, not an identification."
        )
    if sighting.decision == "nobody":
        return f"The program says: probably none of the people it knows, {sure}."
    return "The program made no decision about who this is."


def _original_frames(case: Case) -> list[str]:
    if not case.stills:
        return []
    first, *rest = sorted(case.stills, key=lambda still: still.why != "best seen")
    figures = [_still(first, "wide"), *(_still(still) for still in rest)]
    text = (
        "Frames as the camera sent them. The box was drawn on top of them for this page alone; the "
        "frames without it, "
        "at full size and without loss, are in the folder stills."
    )
    if case.veiled:
        text += " Whoever was not recognised as somebody enrolled was made unrecognisable on them, for good."
    return [section("What the camera saw", paragraph(text), f'<div class="stills">{"".join(figures)}</div>')]


def _still(still: Still, kind: str = "") -> str:
    height, width = still.bgr.shape[:2]
    scale = min(1.0, _WIDEST_STILL / width)
    small = still.bgr
    if scale < 1:
        size = (round(width * scale), round(height * scale))
        small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), np.uint8)
    jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
    x1, y1, x2, y2 = (
        min(max(value, 0.0), 1.0) * 100
        for value in np.divide(still.face.box, (width, height, width, height)).tolist()
    )
    box = f"left:{x1:.2f}%;top:{y1:.2f}%;width:{x2 - x1:.2f}%;height:{y2 - y1:.2f}%"
    unfit = f" Not fit to be recognised: {escape(still.face.unfit)}." if still.face.unfit else ""
    return figure(
        f'<div class="frame">{image(jpeg, "jpeg", f"The face as {still.why}")}<i style="{box}"></i></div>',
        f"<b>{still.why.capitalize()}</b> {escape(_both(still.frame.wall_ns))}, frame {still.frame.sequence}."
        f" The detector is {percent(still.face.score)} sure that this is a face.{unfit}",
        kind,
    )


def _guess(case: Case) -> list[str]:
    sighting = case.sighting
    if not sighting.reconstruction:
        return _no_guess(sighting.no_reconstruction)
    original = ""
    if sighting.original:
        caption = "<b>Original</b> What the camera saw, cut out and turned upright."
        original = figure(image(sighting.original, "png", "The masked face as it was seen"), caption)
    guess = figure(
        image(sighting.reconstruction, "png", CAPTION),
        f"<b>Guess</b> What is inside the yellow line was painted by a network{_from_looks(sighting.looks)}.",
    )
    text = paragraph(
        "A mask hides the lower face. The program painted what could be under it, from what many other faces look "
        "like. It does not know what is there: another mouth, chin, beard or scar would give the same picture."
    ) + paragraph(
        "Nobody may be named, searched for or ruled out by the right-hand picture. The decision above "
        "does not rest on it: "
        "in the program a reconstruction can make a match less sure, never more."
    )
    return [
        section(
            "Behind the mask: a guess",
            f'<div class="guess"><strong class="stamp">{escape(CAPTION)}</strong>'
            f'<div class="pair">{original}{guess}<div>{text}</div></div></div>',
        )
    ]


def _no_guess(reason: str) -> list[str]:
    if not reason:
        return []
    text = f"None was made: {escape(reason)}. From so little the program does not guess."
    return [section("Behind the mask: no guess", paragraph(text))]


def _from_looks(looks: int) -> str:
    if looks <= 1:
        return ""
    return f", from {looks} looks at the face; where they differ most it is soft and pale"


def _footage(case: Case, files: Sequence[BundledFile]) -> str:
    rows = []
    hashes = {file.path: file.sha256 for file in files}
    for segment in case.segments:
        name = f"footage/{segment.path}"
        rows.append(
            (
                f"{name} ({segment.codec}, {segment.width} × {segment.height}, {segment.frames:,} frames)",
                utc(segment.began_ns),
                utc(segment.ended_ns).split(" ", 1)[1],
                f"{hashes.get(name, 'not in the bundle')[:16]}…" if name in hashes else "not in the bundle",
            )
        )
    text = (
        "The camera's own packets as they arrived, not encoded anew. They begin before and end after the sighting, "
        "and show everybody who was there."
    )
    parts = [paragraph(text), _strip(case)]
    if rows:
        parts.append(table(("file", "from", "to", "sha256 begins"), rows))
    if case.notes:
        parts.append(f'<div class="note">{bullets(dict.fromkeys(case.notes))}</div>')
    return section("The footage", *parts, kind="whole")


def _strip(case: Case) -> str:
    """The stretch of time as a drawing: footage in grey, the sighting in colour."""
    span = max(1, case.to_ns - case.from_ns)

    def at(wall_ns: int) -> float:
        return 1000 * min(max((wall_ns - case.from_ns) / span, 0), 1)

    bars = "".join(
        f'<rect x="{at(s.began_ns):.1f}" y="24" width="{max(2, at(s.ended_ns) - at(s.began_ns)):.1f}" height="18" '
        'fill="#c9d0d6"/>'
        for s in case.segments
    )
    wide = max(2.5, 1000 * _FRAME_NS / span)
    first, last = at(case.sighting.first_ns), at(case.sighting.last_ns)
    seen = "".join(
        f'<rect x="{at(frame.wall_ns):.1f}" y="24" width="{wide:.1f}" height="18" fill="#c77700"/>'
        for frame in case.frames
        if case.face(frame)
    )
    labels = "".join(
        f'<text x="{x:.1f}" y="{y}" font-size="16" fill="#5b6570" text-anchor="{anchor}">{escape(text)}</text>'
        for x, y, anchor, text in (
            (0, 61, "start", utc(case.from_ns).split(" ")[1]),
            (1000, 61, "end", utc(case.to_ns).split(" ")[1]),
            (min(max((first + last) / 2, 60), 940), 16, "middle", "this face is seen"),
        )
    )
    return (
        f'<svg viewBox="0 0 1000 64" role="img" aria-label="When the face is seen">{bars}{seen}{labels}</svg>'
    )


def _limits(case: Case, custody: Custody) -> str:
    texts = [
        "A probability is not a proof. People who look alike, relatives and twins are confused more "
        "often than the figure "
        "says; so are people whose looks were rare among those that the program was tested with.",
        "The program knows only who is enrolled. It cannot say that somebody is a person it has never seen.",
        "The times are those of the clock named above. Nobody outside this installation has confirmed them.",
        "The signature proves that nothing in the bundle was changed since it was made. It does not "
        "prove that camera and "
        "clock were set up rightly, or that nobody stood before the camera with a picture.",
        "Other people on the same frames are given as boxes; who they might be was left out of the annotations.",
    ]
    if not case.segments or any(segment.clock == "here" for segment in case.segments):
        texts.insert(
            3,
            "Where the clock is the recording machine's, the moment is that of arrival: later than the event by "
            "what camera and network took, usually less than a second.",
        )
    return section("What this cannot tell", bullets(texts), kind="whole")


def _checking(custody: Custody) -> str:
    return section(
        "How to check this bundle",
        paragraph(
            "Ask the owner of the installation, by another way than the one this came by, for the "
            "installation's name. It must "
            "be:"
        ),
        f"<pre>{escape(custody.installation)}</pre>",
        paragraph("With the program, on any machine, without a network:"),
        f'<pre>unvizard verify BUNDLE.zip --key "{escape(custody.installation)}"</pre>',
        paragraph("Without it, in the unpacked bundle, with OpenSSL 3, jq and coreutils:"),
        "<pre>openssl pkeyutl -verify -pubin -inkey signing.pub -rawin -in manifest.json -sigfile manifest.sig\n"
        "jq -r '.files[] | .sha256 + \"  \" + .path' manifest.json | sha256sum --check\n"
        "openssl pkey -pubin -in signing.pub -outform DER | tail -c 32 | sha256sum</pre>",
        paragraph("The last command gives the name above, and more behind it."),
        kind="whole",
    )


def _custody(case: Case, custody: Custody, product: str) -> str:
    sighting, run = case.sighting, case.run
    engines = sighting.versions.get("engines") or (run.engines if run else {})
    rows = []
    if isinstance(engines, dict):
        for name, engine in sorted(engines.items()):
            if isinstance(engine, dict):
                backend = f"{engine.get('backend', '')} {engine.get('precision', '')}".strip()
                rows.append((str(name), backend, str(engine.get("model_sha256", ""))[:32]))
    return section(
        "Where it comes from",
        facts(
            [
                ("Handed over by", f"{custody.exported_by} (account {custody.account})"),
                ("When", custody.exported),
                ("Reason given", custody.reason),
                ("Line of the log", f"{custody.log_line}, mark {custody.log_mark}"),
                ("Recorded with", f"Unvizard {run.version}, run {run.id}" if run else "not known"),
                ("Bundle made with", product),
                ("Version of the gallery", str(case.recognition.gallery or "")),
                ("Calibration, sha256", str(sighting.versions.get("calibration") or "")),
            ]
        ),
        table(("network", "ran on", "sha256 of its file begins"), rows) if rows else "",
        kind="whole",
    )


def _both(wall_ns: int) -> str:
    there = local(wall_ns)
    return f"{utc(wall_ns)} ({there})" if there else utc(wall_ns)
