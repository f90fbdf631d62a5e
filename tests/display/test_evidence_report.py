"""The report of an evidence bundle in a real browser: it shows everything, and asks nobody for anything."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from tools.browser import Browser

sys.path.append(str(Path(__file__).parents[1] / "stream"))
from evidence_helpers import fill, make_clip

from engines.signing import SigningKey
from stream.archive.archive import Archive
from stream.evidence.bundling import Export, make_bundle


def test_the_report_opens_without_a_request_a_problem_or_a_picture_that_does_not_show(
    tmp_path: Path, browser: Browser
) -> None:
    key = SigningKey.open(tmp_path / "signing.key")
    sighting = fill(tmp_path / "recordings", make_clip(), key)
    with Archive.open(tmp_path / "recordings") as archive:
        make_bundle(archive, Export(sighting, "J. Doe", "request"), tmp_path / "b.zip", key, "unvizard 9.9")
    with zipfile.ZipFile(tmp_path / "b.zip") as bundle:
        bundle.extract("report.html", tmp_path)
    page = browser.open((tmp_path / "report.html").as_uri(), 900, 1300)
    page.wait_for("document.readyState == 'complete'")
    shown = page.evaluate("[...document.images].map(i => i.complete && i.naturalWidth > 0)")
    assert shown == [True] * 6
    box = page.evaluate(
        "(i => [i.offsetLeft / i.parentNode.offsetWidth, i.offsetWidth / i.parentNode.offsetWidth])"
        "(document.querySelector('.frame i'))"
    )
    assert (
        abs(box[0] - 62 / 320) < 0.02 and abs(box[1] - 50 / 320) < 0.02
    )  # the best still's, drawn in its place
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.problems == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
    page.close()
