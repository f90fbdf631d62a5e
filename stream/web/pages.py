"""Pages: one frame of navigation around the content of each, put together on the server, without a build step.

A page is a fragment `static/<name>.html`: the content of <main>. It loads `static/<name>.js` and `static/<name>.css`
when these exist. `static/shell.css` holds the colours and the elements that all pages are made of.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from starlette.responses import Response

from stream.web.account import LOCAL, Account, Role

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page in the navigation. needed: the least role that sees it there."""

    name: str
    path: str
    title: str
    needed: Role


PAGES = (
    Page("live", "/", "Live", Role.VIEWER),
    Page("people", "/people", "People", Role.OPERATOR),
    Page("review", "/review", "Review", Role.REVIEWER),
    Page("authenticity", "/authenticity", "Genuine?", Role.OPERATOR),
    Page("evaluate", "/evaluate", "Evaluate", Role.REVIEWER),
    Page("settings", "/settings", "Settings", Role.ADMINISTRATOR),
    Page("health", "/health", "Health", Role.OPERATOR),
    Page("accounts", "/accounts", "Accounts", Role.ADMINISTRATOR),
    Page("journal", "/journal", "Log", Role.ADMINISTRATOR),
)


_OTHER_TITLES = {"sign-in": "Sign in", "account": "Your account"}


@cache
def static_files() -> dict[str, bytes]:
    """Everything under static/, by name."""
    folder = files("stream.web") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name.endswith(tuple(TYPES))}


def respond(
    name: str, account: Account | None, status: int = 200, more: Mapping[str, str] | None = None
) -> Response:
    """The page `name`, with the navigation that this account has (none for None: signing in).

    more: markup for the places `<!-- key -->` of the page itself.
    """
    static = static_files()
    title = next((page.title for page in PAGES if page.name == name), _OTHER_TITLES.get(name, "Unvizard"))
    parts = {
        "title": title,
        "links": _links(name, account),
        "account": _who(account) if account else "",
        "styles": _if_there(static, f"{name}.css", '<link rel="stylesheet" href="/static/{}">'),
        "scripts": _if_there(static, f"{name}.js", '<script type="module" src="/static/{}"></script>'),
        "content": static[f"{name}.html"].decode(),
        "signed": "signed-in" if account else "signed-out",
    }
    text = static["shell.html"].decode()
    for key, value in {**parts, **(more or {})}.items():
        text = text.replace(f"<!-- {key} -->", value)
    return Response(text, status, media_type=TYPES[".html"])


def _links(name: str, account: Account | None) -> str:
    may_go = account is not None and not account.must_change
    seen = [page for page in PAGES if account and may_go and account.role.covers(page.needed)]
    here = ' aria-current="page"'
    return "".join(
        f'<a href="{page.path}"{here if page.name == name else ""}>{page.title}</a>'
        for page in seen
        if f"{page.name}.html" in static_files()
    )


def _who(account: Account) -> str:
    """Who is signed in, as the way to the page of their account; without signing in there is none."""
    said = f"{html.escape(account.name)} <span>· {account.role}</span>"
    return said if account.name == LOCAL else f'<a href="/account" data-signs-in>{said}</a>'


def _if_there(static: dict[str, bytes], name: str, markup: str) -> str:
    return markup.format(name) if name in static else ""
