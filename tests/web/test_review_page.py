"""The review page in a real browser: over real footage, with the keyboard alone, on a phone, in dark and light."""

from __future__ import annotations

from pathlib import Path

import pytest
from offices import RunningServer, serious_findings
from reviewed import CAMERA, FIRST, MS, PERSON, fill_archive, wall_ns

from stream.config import Settings
from stream.web.office import Office
from tools.browser import Browser, Page, until


@pytest.fixture
def sighting(settings: Settings, office: Office) -> int:
    return fill_archive(settings)


def _wait(page: Page, script: str) -> None:
    until(lambda: page.evaluate(f"Boolean({script})"), script, 30)


def _shown_ms(page: Page) -> float:
    return float(page.evaluate("document.querySelector('.player canvas').dataset.ms ?? 0"))


def _focused(page: Page, selector: str) -> bool:
    return bool(page.evaluate(f"document.activeElement.matches({selector!r})"))


def _tab_to(page: Page, selector: str, most: int = 60) -> None:
    for _ in range(most):
        page.press("Tab")
        if _focused(page, selector):
            return
    raise AssertionError(f"{selector} cannot be reached with the keyboard")


def test_the_keyboard_alone_leads_from_the_day_to_a_sighting_and_its_footage(
    sighting: int, server: RunningServer, browser: Browser
) -> None:
    page = server.open(browser, "/review", "reviewer")
    _wait(page, "document.querySelectorAll('#cards a').length === 31")
    _tab_to(page, "[role=slider]")
    said = "document.activeElement.getAttribute('aria-valuetext')"
    assert "1 faces, 1 named, 1 with a mask" in page.evaluate(said)
    page.press("ArrowRight")
    assert ": 0 faces" in page.evaluate(said)
    page.send(
        "Input.dispatchKeyEvent", type="keyDown", key="ArrowLeft", code="ArrowLeft", windowsVirtualKeyCode=37
    )
    page.press("Enter")
    _wait(page, "document.querySelectorAll('#cards a').length === 1")
    assert f"camera={CAMERA}" in page.evaluate("location.search") and _focused(page, "[role=slider]")
    _tab_to(page, "#cards a")
    page.press("Enter")
    _wait(page, "document.querySelector('#detail .player canvas')?.dataset.ms")
    assert _focused(page, "#detail")
    assert page.evaluate("document.getElementById('detail-title').textContent") == PERSON
    until(lambda: _shown_ms(page) >= wall_ns(FIRST) / MS, "the face", 30)
    stood = _shown_ms(page)
    _tab_to(page, ".player button.main")
    page.press("Enter")
    until(lambda: _shown_ms(page) > stood + 300, "the footage to play", 30)
    _wait(page, "document.querySelector('.player button.main').textContent === 'Play'")
    assert _shown_ms(page) == wall_ns(59) / MS, "it plays to its last picture"
    page.evaluate("document.querySelector('#detail .back').focus()")
    page.press("Enter")
    _wait(page, "document.getElementById('detail').hidden")
    until(lambda: _focused(page, "#cards a"), "the way back to the card", 30)
    assert page.problems == []
    assert [url for url in page.requests if not url.startswith((server.url, "about:", "data:"))] == []
    page.close()


def test_everything_of_a_sighting_is_on_the_page_and_can_be_done_there(
    sighting: int, server: RunningServer, browser: Browser
) -> None:
    page = server.open(browser, f"/review?sighting={sighting}", "reviewer")
    _wait(page, "document.querySelectorAll('#detail .pictures img').length === 4")
    _wait(page, "[...document.querySelectorAll('#detail .pictures img')].every((each) => each.naturalWidth)")
    text = page.evaluate("document.getElementById('detail').textContent")
    for words in (
        "97.0 %",
        "mask worn, reduced reliability",
        "AI reconstruction, not evidence",
        "Grace Hopper",
        "0.610",
    ):
        assert words in text
    order = page.evaluate(
        "[...document.querySelectorAll('.pictures figcaption strong')].map((each) => each.textContent)"
    )
    assert order[-2:] == ["Original.", "AI reconstruction, not evidence."], "side by side"
    assert page.evaluate("document.querySelector('#detail b')") is None, "a name is text, never markup"
    page.evaluate("document.querySelector('.confirmation button').click()")
    _wait(
        page,
        "document.querySelector('.confirmation .is-confirmed') && document.querySelector('#cards .is-confirmed')",
    )
    page.evaluate("document.querySelector('.actions button').click()")
    _wait(page, "document.querySelector('.actions button').textContent === 'Release'")
    assert _focused(page, ".actions button"), "focus stays where the person is"
    _wait(page, "document.querySelector('.strip .protected')")
    page.evaluate("document.querySelectorAll('.actions button')[1].click()")
    _wait(page, "document.getElementById('bundle-dialog').open")
    page.evaluate("document.querySelector('#bundle-dialog button.main').click()")
    assert page.evaluate("document.getElementById('bundle-dialog').open"), "not without a reason"
    page.evaluate("document.querySelector('#bundle-dialog textarea').value = 'request 2026-118'")
    page.evaluate("document.querySelector('#bundle-dialog button.main').click()")
    _wait(page, "document.querySelector('#file-list [data-state=done] a[download]')")
    assert page.problems == []
    page.close()


@pytest.mark.parametrize(
    ("name", "size"), [("wide", {}), ("phone", {"width": 390, "height": 844, "phone": True})]
)
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_it_is_legible_and_accessible_at_every_size_and_in_every_light(
    sighting: int,
    server: RunningServer,
    browser: Browser,
    artefacts: Path,
    name: str,
    size: dict[str, int],
    theme: str,
) -> None:
    page = server.open(browser, "/healthz", "reviewer", **size)
    page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
    page.send("Page.navigate", url=f"{server.url}review?sighting={sighting}")
    _wait(page, "document.querySelector('#detail .player canvas')?.dataset.ms")
    _wait(page, "document.querySelectorAll('#cards a').length")
    assert serious_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
    assert page.evaluate("document.querySelector('[name=glimpses]').offsetWidth < 30"), "beside its word"
    page.screenshot(artefacts / f"review-{name}-{theme}.png", whole=name == "phone")
    page.close()
