"""A client of the pages' API, to copy from: `python -m tools.client_example https://machine:8300/ --key KEY`.

An administrator makes the key on the page of accounts. GET /api/openapi.json describes everything that can be asked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

import httpx
import typer

_ASK_AGAIN_S = 0.3


class Refused(RuntimeError):
    """The answer is an error; the text is the server's own sentence."""


class Client:
    """Unvizard over HTTP; a context manager. All methods raise Refused, and httpx.HTTPError when there is no answer."""

    def __init__(self, address: str, key: str, authority: Path | None = None) -> None:
        """authority: the certificate, PEM, that a page with a certificate of its own is known by."""
        self._http = httpx.Client(
            base_url=address,
            headers={"authorization": f"Bearer {key}"},
            verify=str(authority) if authority else True,
            timeout=120,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def cameras(self) -> list[dict[str, Any]]:
        """The cameras that this key may see, and how each does."""
        found: list[dict[str, Any]] = self._ask("GET", "/api/state").json()["cameras"]
        return found

    def people(self, text: str = "") -> Iterator[dict[str, Any]]:
        """Who is enrolled, by name; text: part of a name."""
        return self._pages("/api/people", "people", {"text": text})

    def sightings(self, **wanted: str) -> Iterator[dict[str, Any]]:
        """Who was seen, newest first. wanted: camera, person, decision, from_ms, to_ms, …"""
        return self._pages("/api/review/sightings", "sightings", wanted)

    def enrol(self, name: str, ground: str, *pictures: Path) -> dict[str, Any]:
        """Enrol somebody; gives the person, and why a picture was not taken. ground: why it may be done."""
        tokens = [
            self._ask(
                "POST", "/api/people/pictures", params={"file": path.name}, content=path.read_bytes()
            ).json()["token"]
            for path in pictures
        ]
        body = {"pictures": tokens, "name": name, "ground": ground}
        done: dict[str, Any] = self._ask("POST", "/api/people", json=body).json()
        return done

    def bundle(self, sighting: int, reason: str, target: Path) -> None:
        """Have the evidence bundle of a sighting made, wait for it, and keep it."""
        wanted = {"sighting": sighting, "reason": reason}
        job = self._ask("POST", "/api/review/bundles", json=wanted).json()
        while job["state"] in ("waiting", "working"):
            time.sleep(_ASK_AGAIN_S)
            job = next(
                each for each in self._ask("GET", "/api/review/files").json() if each["id"] == job["id"]
            )
        if job["state"] != "done":
            raise Refused(f"{job['title']}: {job['state']}: {job['sentence']}")
        target.write_bytes(self._ask("GET", f"/api/review/files/{job['id']}").content)

    def _pages(self, path: str, key: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        page = 0
        while True:
            rows = self._ask("GET", path, params={**query, "page": page}).json()[key]
            if not rows:
                return
            yield from rows
            page += 1

    def _ask(self, method: str, path: str, **what: Any) -> httpx.Response:
        answer = self._http.request(method, path, **what)
        if answer.is_error:
            kind = answer.headers.get("content-type", "")
            raise Refused(answer.json()["detail"] if kind.startswith("application/json") else answer.text)
        return answer


def main(
    address: Annotated[str, typer.Argument(help="Of the pages, as http://127.0.0.1:8300/.")],
    key: Annotated[str, typer.Option(envvar="UNVIZARD_KEY", help="An API key; better in UNVIZARD_KEY.")],
    authority: Annotated[
        Path | None, typer.Option(help="The certificate that the pages are known by.")
    ] = None,
) -> None:
    """List the cameras, who is enrolled, and the newest sightings."""
    with Client(address, key, authority) as client:
        for camera in client.cameras():
            typer.echo(f"{camera['name']}: {camera['state']}, {camera['shown_per_second']} pictures a second")
        for person in client.people():
            typer.echo(f"{person['name']}: {person['pictures']} pictures")
        for _, sighting in zip(range(10), client.sightings(), strict=False):
            typer.echo(f"{sighting['camera']}: {sighting['person'] or sighting['decision']}")


if __name__ == "__main__":
    typer.run(main)
