"""Signing in, accounts and the log in a real browser: by mouse, by keyboard alone, and on a phone."""

import json
import sqlite3
from urllib.parse import urlsplit

import pytest
from offices import serious_findings

from stream.web.account import Role

GOOD = "violet anchor seventeen"
PHONE = {"width": 390, "height": 844, "phone": True}
ROW = "tr[data-account={}]"


@pytest.fixture
def ada(office):
    return office.accounts.add("Ada", Role.ADMINISTRATOR, None, GOOD, "test", must_change=False)


def text(page, selector):
    return page.evaluate(f"document.querySelector({json.dumps(selector)}).textContent.trim()")


def typed(page, value):
    page.send("Input.insertText", text=value)


def focus_is_on(page, selector):
    return page.evaluate(f"document.activeElement.matches({json.dumps(selector)})")


def settle(page, width=1440):
    """The page reported no error, asked nobody else for anything, and is no wider than its window."""
    assert page.problems == []
    home = page.evaluate("location.host")
    foreign = [each for each in page.requests if urlsplit(each).netloc != home]
    assert [
        each for each in foreign if not each.startswith("data:image/svg")
    ] == []  # the browser's own icons
    # On a phone a page that is too wide widens what calls itself the window, so that is not what is compared.
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_somebody_signs_in_and_out_by_keyboard_alone(server, browser, ada):
    page = server.open(browser, "/accounts", role=None)
    page.wait_for("location.pathname === '/sign-in' && document.activeElement.name === 'name'")
    typed(page, "Ada")
    page.press("Tab")
    typed(page, "not the password")
    page.press("Enter")
    page.wait_for("!document.getElementById('problem').hidden")
    assert text(page, "#problem") == "Name or password is wrong."
    assert focus_is_on(page, "[name=password]")
    typed(page, GOOD)
    page.press("Enter")
    page.wait_for("location.pathname === '/'")
    page.wait_for("document.readyState === 'complete' && !document.getElementById('sign-out').hidden")
    assert text(page, ".who a") == "Ada · administrator"
    for _ in range(30):
        if focus_is_on(page, "#sign-out"):
            break
        page.press("Tab")
    assert focus_is_on(page, "#sign-out")
    page.press("Enter")
    page.wait_for("location.pathname === '/sign-in'")
    page.send("Page.navigate", url=server.url + "accounts")
    page.wait_for("location.pathname === '/sign-in'")
    page.close()


def test_a_one_time_link_opens_the_pages_and_leaves_no_trace_in_the_address(server, browser, ada, office):
    token = office.sessions.link_token(ada.id)
    page = server.open(browser, f"/sign-in#once={token}", role=None)
    page.wait_for("location.pathname === '/' && document.readyState === 'complete'")
    assert token not in page.evaluate("location.href")
    assert all(token not in request.partition("#")[0] for request in page.requests)
    page.close()
    again = server.open(browser, f"/sign-in#once={token}", role=None)
    again.wait_for("!document.getElementById('problem').hidden")
    assert text(again, "#problem").startswith("This link was used already")
    again.close()


def test_an_administrator_makes_changes_and_removes_an_account(server, browser, office, artefacts):
    page = server.open(browser, "/accounts")
    page.wait_for("!!document.querySelector('#accounts tr')")
    page.click("#add")
    page.wait_for("document.getElementById('rights').open")
    assert serious_findings(page) == []
    page.evaluate("document.querySelector('#rights [name=name]').focus()")
    typed(page, "Grace <b>Hopper</b>")
    page.evaluate("document.querySelector('#rights [name=role]').value = 'operator'")
    page.click("#rights [name=all]")
    page.click("#rights [name=camera][value=gate]")
    page.screenshot(artefacts / "pages" / "accounts-dialog.png")
    page.click("#rights button.main")
    page.wait_for("document.getElementById('secret').open")
    password = text(page, "#secret-text")
    page.click("#secret button.main")
    page.wait_for("!document.getElementById('secret').open")
    grace = office.accounts.known("Grace <b>Hopper</b>")
    assert grace.account.role is Role.OPERATOR and grace.account.cameras == frozenset({"gate"})
    assert office.accounts.check("Grace <b>Hopper</b>", password)
    assert password not in page.evaluate("document.documentElement.outerHTML")
    row = '[data-account^="Grace"]'
    page.wait_for(f"!!document.querySelector('{row}')")
    assert text(page, f"{row} th") == "Grace <b>Hopper</b>generated password"
    page.click(f"{row} button.danger")
    page.wait_for("!!document.querySelector('dialog.confirm')")
    page.press("Escape")
    page.wait_for("!document.querySelector('dialog.confirm')")
    assert office.accounts.find("Grace <b>Hopper</b>")
    page.click(f"{row} button.danger")
    page.wait_for("!!document.querySelector('dialog.confirm')")
    page.click("dialog.confirm button.danger")
    page.wait_for(f"!document.querySelector('{row}')")
    assert office.accounts.find("Grace <b>Hopper</b>") is None
    settle(page)
    page.close()


def test_a_refusal_is_told_in_the_dialog_and_nothing_typed_is_lost(server, browser, ada):
    page = server.open(browser, "/accounts")
    page.wait_for("!!document.querySelector('#accounts tr')")
    page.click("#add")
    page.wait_for("document.getElementById('rights').open")
    page.evaluate("document.querySelector('#rights [name=name]').focus()")
    typed(page, "ADA")
    page.press("Enter")
    page.wait_for("!document.querySelector('#rights [role=alert]').hidden")
    assert text(page, "#rights [role=alert]") == "name: must be one that is not taken, found 'ADA'"
    assert page.evaluate("document.querySelector('#rights [name=name]').value") == "ADA"
    page.close()


def test_a_key_is_shown_once_and_can_be_revoked(server, browser, office):
    page = server.open(browser, "/accounts")
    page.wait_for("!!document.querySelector('#accounts tr')")
    page.click("#add-key")
    page.wait_for("document.getElementById('rights').open")
    page.evaluate("document.querySelector('#rights [name=name]').focus()")
    typed(page, "backup")
    page.click("#rights button.main")
    page.wait_for("document.getElementById('secret').open")
    key = text(page, "#secret-text")
    assert office.keys.account(key)[0].role is Role.VIEWER
    page.click("#secret button.main")
    page.wait_for("!!document.querySelector('[data-key=backup]')")
    page.click("[data-key=backup] button.danger")
    page.wait_for("!!document.querySelector('dialog.confirm')")
    page.click("dialog.confirm button.danger")
    page.wait_for("!document.querySelector('[data-key=backup]')")
    assert office.keys.account(key) is None
    page.close()


def test_somebody_changes_the_own_password(server, browser, ada, office):
    page = server.open(browser, f"/sign-in#once={office.sessions.link_token(ada.id)}", role=None)
    page.wait_for("location.pathname === '/'")
    page.send("Page.navigate", url=server.url + "account")
    page.wait_for("!!document.querySelector('#sessions tr')")
    for field, value in (("old", GOOD), ("new", "another good password"), ("again", "another good passwort")):
        page.evaluate(f"document.querySelector('[name={field}]').focus()")
        typed(page, value)
    page.press("Enter")
    page.wait_for("document.querySelector('[name=again]').validationMessage === 'Both must be the same.'")
    page.evaluate("document.querySelector('[name=again]').select()")
    typed(page, "another good password")
    page.press("Enter")
    page.wait_for("document.getElementById('messages').textContent.includes('password was changed')")
    assert office.accounts.check("Ada", "another good password")
    page.close()


def test_a_generated_password_is_changed_before_any_page_opens(server, browser, office, artefacts):
    office.accounts.add("admin", Role.ADMINISTRATOR, None, GOOD, "first start", generated=True)
    page = server.open(browser, "/people", role=None, **PHONE)
    page.wait_for("location.pathname === '/sign-in' && document.activeElement?.name === 'name'")
    typed(page, "admin")
    page.press("Tab")
    typed(page, GOOD)
    page.press("Enter")
    page.wait_for("location.pathname === '/account' && document.activeElement?.name === 'old'")
    page.wait_for("!document.getElementById('must-change').hidden")
    assert text(page, "#must-change").startswith("Somebody else chose the password that you signed in with.")
    assert not page.evaluate("document.getElementById('elsewhere').checkVisibility()")
    assert serious_findings(page) == []
    page.screenshot(artefacts / "pages" / "first-password-phone.png")
    settle(page, 390)
    page.send("Page.navigate", url=server.url + "people")  # there is no way round it
    page.wait_for("location.pathname === '/account' && document.activeElement?.name === 'old'")
    typed(page, GOOD)
    for value in (GOOD, GOOD):
        page.press("Tab")
        typed(page, value)
    page.press("Enter")
    page.wait_for("document.getElementById('messages').textContent.includes('must be another password')")
    for field in ("new", "again"):
        page.evaluate(f"document.querySelector('[name={field}]').select()")
        typed(page, "a password of my own")
    page.press("Enter")
    page.wait_for("location.pathname === '/' && document.readyState === 'complete'")
    page.send("Page.navigate", url=server.url + "people")
    page.wait_for("location.pathname === '/people' && document.readyState === 'complete'")
    page.close()


def test_the_log_is_filtered_and_an_altered_line_is_found(server, browser, office):
    for number in range(120):
        office.journal.write("Ada", "viewed", f"sighting {number}")
    office.journal.write("Grace", "exported", "sighting 73")
    page = server.open(browser, "/journal")
    page.wait_for("document.querySelectorAll('#lines tr').length === 100")
    page.evaluate("document.getElementById('more').scrollIntoView()")
    page.click("#more")
    page.wait_for("document.querySelectorAll('#lines tr').length === 121")
    page.evaluate("document.querySelector('[name=text]').focus()")
    typed(page, "sighting 73")
    page.wait_for("document.querySelectorAll('#lines tr').length === 2")
    page.evaluate(
        "(s => { s.value = 'Grace'; s.dispatchEvent(new Event('input', { bubbles: true })); })"
        "(document.querySelector('[name=actor]'))"
    )
    page.wait_for("document.querySelectorAll('#lines tr').length === 1")
    page.click("#verify")
    page.wait_for("document.getElementById('verdict').classList.contains('good')")
    connection = sqlite3.connect(office.store.path)
    connection.execute("DROP TRIGGER audit_holds")
    connection.execute("UPDATE audit SET actor = 'Mallory' WHERE sequence = 121")
    connection.commit()
    page.click("#verify")
    page.wait_for("document.getElementById('verdict').classList.contains('bad')")
    assert "line 121 or the one before it was altered" in text(page, "#logs")
    settle(page)
    page.close()


def test_the_theme_is_the_system_s_until_somebody_chooses(server, browser):
    page = server.open(browser, "/account", role="viewer")
    page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    page.evaluate("localStorage.removeItem('theme')")
    page.send("Page.reload")
    page.wait_for("document.readyState === 'complete' && document.documentElement.dataset.theme === 'dark'")
    page.click("#theme")
    page.wait_for("document.documentElement.dataset.theme === 'light'")
    page.send("Page.reload")
    page.wait_for("document.readyState === 'complete' && document.documentElement.dataset.theme === 'light'")
    page.evaluate("localStorage.removeItem('theme')")
    page.close()


@pytest.mark.parametrize("size", [{}, PHONE], ids=["desk", "phone"])
def test_each_page_fits_its_window_and_axe_finds_nothing_serious(
    server, browser, ada, office, artefacts, size
):
    office.journal.write("Ada", "searched", "who looks like this, gate, today")
    office.keys.add("backup", ada, Role.VIEWER, ("gate",), "test")
    for name, there in (
        ("sign-in", "form"),
        ("account", "#sessions tr"),
        ("accounts", "#accounts tr"),
        ("journal", "#lines tr"),
    ):
        page = server.open(browser, f"/{name}", role=None if name == "sign-in" else "administrator", **size)
        page.wait_for(f"!!document.querySelector('{there}')")
        for theme in ("dark", "light"):
            page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
            assert serious_findings(page) == [], (name, theme)
            page.screenshot(artefacts / "pages" / f"{name}-{theme}{'-phone' if size else ''}.png")
        settle(page, size.get("width", 1440))
        page.close()
