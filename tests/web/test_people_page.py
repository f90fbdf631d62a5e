"""The people page in a real browser: real photographs, a mouse, a keyboard alone, a phone, and axe."""

from __future__ import annotations

import json
from pathlib import Path

from offices import RunningServer, serious_findings

from engines.recognition.gallery import Gallery
from stream.web.office import Office
from tools.browser import Browser, Page, until

PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"
READY = "'ready' in document.documentElement.dataset"
DRAWN = "[...document.images].every(image => image.complete)"


def wait(page: Page, script: str) -> None:
    """Until an expression is true: examining a picture takes its time where others work too."""
    until(lambda: page.evaluate(script), script, 90)


def choose(page: Page, selector: str, *files: Path) -> None:
    """Give files to an input, as the system's dialog does."""
    root = page.send("DOM.getDocument")["root"]["nodeId"]
    node = page.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
    page.send("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])


def write(page: Page, text: str) -> None:
    """Type where the focus is."""
    page.send("Input.insertText", text=text)


def focus_by_tab(page: Page, selector: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(60):
        if page.evaluate(f"document.activeElement.matches({json.dumps(selector)})"):
            return
        page.press("Tab")
    raise AssertionError(f"Tab does not reach {selector}")


def names(page: Page) -> list[str]:
    return page.evaluate("[...document.querySelectorAll('#people b')].map(name => name.textContent)")  # type: ignore[no-any-return]


def both_themes(page: Page) -> list[str]:
    found = []
    for theme in ("light", "dark"):
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        found += serious_findings(page)
    return found


def test_a_person_is_enrolled_and_renamed_and_erased_with_the_keyboard_alone(
    server: RunningServer, browser: Browser, office: Office, artefacts: Path
) -> None:
    page = server.open(browser, "/people")
    wait(page, READY)
    assert page.evaluate("!document.getElementById('empty').hidden") and both_themes(page) == []
    focus_by_tab(page, "#enrol-open")
    page.press("Enter")
    wait(page, "document.getElementById('enrol').open")
    choose(page, "#files", PICTURES / "obama.jpg", PICTURES / "obama3.jpg")
    wait(page, "document.querySelectorAll('#tray .good').length === 2")
    wait(page, DRAWN)
    assert page.evaluate("document.querySelectorAll('#tray .shot i.first').length") == 2
    focus_by_tab(page, "#enrol-form [name=name]")
    write(page, "Barack Obama")
    page.press("Tab")
    write(page, "consent")
    assert both_themes(page) == []
    page.screenshot(artefacts / "people-enrol.png")
    focus_by_tab(page, "#enrol-do")
    page.press("Enter")
    wait(page, "!document.getElementById('enrol').open")
    wait(page, "document.querySelectorAll('.person').length === 1")
    assert names(page) == ["Barack Obama"]

    focus_by_tab(page, ".person")
    page.press("Enter")
    wait(page, "document.getElementById('one').open")
    wait(page, DRAWN)
    assert both_themes(page) == []
    page.screenshot(artefacts / "people-one.png")
    focus_by_tab(page, "#one-rename")
    page.press("Enter")
    wait(page, "document.activeElement.name === 'value'")
    write(page, "Barack H. Obama")
    page.press("Enter")
    wait(page, "document.getElementById('one-name').textContent === 'Barack H. Obama'")
    wait(page, "document.getElementById('one').contains(document.querySelector('#undo:not([hidden])'))")
    focus_by_tab(page, "#undo button")
    page.press("Enter")
    wait(page, "document.querySelector('#people b').textContent === 'Barack Obama'")
    wait(page, "!document.getElementById('one').open")

    focus_by_tab(page, ".person")
    page.press("Enter")
    wait(page, "document.getElementById('one').open")
    focus_by_tab(page, "#one-erase")
    page.press("Enter")
    wait(page, "document.activeElement.name === 'value'")
    write(page, "Barack")
    page.press("Enter")
    wait(page, "document.querySelector('#one .said').textContent.startsWith('name: must be that of')")
    page.evaluate("document.querySelector('#one-form [name=value]').select()")
    write(page, "Barack Obama")
    page.press("Enter")
    wait(page, "document.getElementById('receipt').open")
    assert both_themes(page) == []
    with Gallery(office.settings.recognition.gallery) as gallery:
        last = list(gallery.audit.entries())[-1]
        receipt = page.evaluate("document.getElementById('receipt-text').textContent")
        assert last.action == "removed" and last.mark.hex() in receipt
        assert "key       destroyed (1)" in receipt
        assert gallery.people() == ()
    page.press("Escape")
    wait(page, "!document.getElementById('empty').hidden")
    assert all(address.startswith((server.url, "blob:")) for address in page.requests)
    assert all("422" in problem for problem in page.problems)  # the wrong name, as Chromium notes it
    page.close()


def test_twins_are_asked_about_and_joined_people_can_be_taken_apart_on_a_phone(
    server: RunningServer, browser: Browser, office: Office, artefacts: Path
) -> None:
    desk = office.people
    for name, file in (
        ("Barack Obama", "obama.jpg"),
        ("Joe Biden", "biden.jpg"),
        ("Eileen Collins", "astronaut.png"),
    ):
        desk.enrol_picture(name, "demonstration", (PICTURES / file).read_bytes(), "tester")
    page = server.open(browser, "/people", "operator", width=390, height=844, phone=True)
    wait(page, READY)
    wait(page, DRAWN)
    assert names(page) == ["Barack Obama", "Eileen Collins", "Joe Biden"]
    assert page.evaluate("document.documentElement.scrollWidth") == 390 and both_themes(page) == []
    page.screenshot(artefacts / "people-phone.png")

    page.evaluate("document.getElementById('enrol-open').click()")
    choose(page, "#files", PICTURES / "obama3.jpg", Path(__file__))
    wait(page, "document.querySelectorAll('#tray .good').length === 1")
    wait(page, "document.querySelector('#tray .bad')?.textContent.startsWith('Refused: is not an image')")
    page.evaluate("document.querySelector('#enrol-form [name=name]').focus()")
    write(page, "His Twin")
    wait(page, "!document.getElementById('twin').hidden")
    assert page.evaluate("document.getElementById('enrol-do').disabled")
    assert page.evaluate("document.documentElement.scrollWidth") == 390 and both_themes(page) == []
    page.screenshot(artefacts / "people-phone-enrol.png")
    page.evaluate(
        "[...document.querySelectorAll('#tray button')].find(b => b.textContent === 'Add to Barack Obama').click()"
    )
    wait(page, "!document.getElementById('enrol-do').disabled")
    page.evaluate("document.querySelector('#enrol-form [name=ground]').focus()")
    write(page, "consent")
    page.evaluate("document.getElementById('enrol-do').click()")
    wait(page, "document.querySelector('#people .line').textContent.startsWith('2 photographs')")

    page.evaluate("document.querySelector('#enrol').close(); document.querySelectorAll('.person')[0].click()")
    wait(page, "document.getElementById('one').open")
    assert (
        page.evaluate("getComputedStyle(document.getElementById('one-erase')).display") == "none"
    )  # an operator
    page.evaluate("document.getElementById('one-merge').click()")
    write(page, "Joe Biden")
    page.evaluate("document.getElementById('one-form-do').click()")
    wait(page, "document.querySelectorAll('#one-photos img').length === 3")
    assert both_themes(page) == []
    page.evaluate("document.getElementById('one').close(); document.querySelector('#undo button').click()")
    wait(page, "document.querySelectorAll('.person').length === 3")
    assert names(page) == ["Barack Obama", "Eileen Collins", "Joe Biden"]
    page.evaluate("document.querySelectorAll('.person')[2].click()")
    wait(page, "document.getElementById('one').open")
    page.evaluate("document.getElementById('one-revoke').click()")
    wait(page, "!document.getElementById('one-revoked').hidden")
    page.evaluate("document.getElementById('one').close()")
    wait(page, "!document.getElementById('one').contains(document.querySelector('#undo:not([hidden])'))")
    wait(page, "document.querySelector('.person.revoked b')?.textContent === 'Joe Biden'")
    with Gallery(office.settings.recognition.gallery) as gallery:
        assert gallery.load().names == ("Barack Obama", "Eileen Collins")
    page.close()
