"""An office in a temporary folder, people who are signed in there, and a server that a browser can reach."""

from __future__ import annotations

import json
import secrets
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stream.config import Settings, parse
from stream.display.server import Server, address, listen
from stream.web.accounts import packed
from stream.web.app import create_app
from stream.web.keeper import EverybodyHere, WhoSignedIn
from stream.web.office import Office
from tools.browser import Browser, Page


def settings(folder: Path, **sections: dict[str, Any]) -> Settings:
    """Cameras "gate" and "yard", everything that is kept in a folder; sections are added."""
    return parse(
        {
            "cameras": [{"name": name, "url": f"rtsp://127.0.0.1:1/{name}"} for name in ("gate", "yard")],
            "display": {"port": 0},
            "recognition": {"gallery": str(folder / "gallery.sqlite3")},
            "recording": {"folder": str(folder / "recordings")},
            "signing": {"key": str(folder / "signing.key")},
            "accounts": {"store": str(folder / "accounts.sqlite3")} | sections.pop("accounts", {}),
        }
        | sections,
        "test",
    )


def signed_in(
    office: Office,
    keeper: EverybodyHere | WhoSignedIn,
    role: str = "administrator",
    cameras: tuple[str, ...] | None = None,
) -> tuple[str, str]:
    """(name, value) of the cookie of somebody with an account of this role, without a password that fits."""
    name = next(n for n in (role, *(f"{role} {i}" for i in range(2, 99))) if not office.accounts.find(n))
    identity = secrets.token_hex(16)
    values = (identity, name, name, role, packed(cameras), "", False, office.store.clock_ns(), False)
    with office.store.writing() as connection:
        connection.execute("INSERT INTO account VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    cookie = keeper.cookie if isinstance(keeper, WhoSignedIn) else "unused"
    return cookie, office.sessions.begin(identity, "127.0.0.1")


class RunningServer:
    """The application on a free port of this machine. url ends with a slash."""

    def __init__(self, office: Office, keeper: EverybodyHere | WhoSignedIn) -> None:
        self._office, self._keeper = office, keeper
        self._listener = listen("127.0.0.1", 0)
        self.url = address(self._listener)
        self._server = Server(create_app(office, keeper), self._listener)
        self._server.start()

    def open(
        self,
        browser: Browser,
        path: str = "/",
        role: str | None = "administrator",
        cameras: tuple[str, ...] | None = None,
        **size: Any,
    ) -> Page:
        """A tab with a page of it, for somebody of a role; role=None: for nobody. size: as Browser.open takes it."""
        page = browser.open("about:blank", **size)
        page.send("Network.clearBrowserCookies")
        if role:
            name, value = signed_in(self._office, self._keeper, role, cameras)
            page.send("Network.setCookie", name=name, value=value, url=self.url)
        page.send("Page.navigate", url=self.url + path.removeprefix("/"))
        page.wait_for("document.readyState === 'complete' && location.protocol === 'http:'")
        return page

    def close(self) -> None:
        """Stop it."""
        self._server.close()
        self._listener.close()


def serious_findings(page: Page) -> list[str]:
    """What axe finds wrong with the page, serious or worse: one line a rule, with the elements concerned."""
    found = find_spec("axe_core_python")
    assert found and found.origin, "the package axe-core-python is missing"
    page.evaluate((Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8") + "; true")
    result = page.evaluate("axe.run().then(result => JSON.stringify(result.violations))")
    return [
        f"{each['id']}: " + ", ".join(str(node["target"]) for node in each["nodes"])
        for each in json.loads(result)
        if each["impact"] in ("serious", "critical")
    ]
