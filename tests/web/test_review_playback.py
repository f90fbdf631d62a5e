"""Footage played over HTTP: the pictures, boxes and times of live, from any moment, and let go when nobody watches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator

import pytest
from reviewed import CAMERA, EPOCH, FIRST, LAST, MS, decoded, fill_archive, played, wall_ns
from starlette.testclient import TestClient
from starlette.types import Message

from engines.recognition.audit import Action
from stream.archive.archive import Archive
from stream.config import Settings
from stream.web.office import Office
from stream.web.playback import Played

Client = Callable[..., TestClient]
SIGHTINGS = "/api/review/sightings"
FROM, TO = wall_ns(0) // MS, -(-wall_ns(60) // MS)
PLAYBACK = f"/api/review/cameras/{CAMERA}/playback?from_ms={FROM}&to_ms={TO}"


@pytest.fixture
def sighting(settings: Settings, office: Office) -> int:
    """The one with everything, in the office's archive."""
    return fill_archive(settings)


def _logged(settings: Settings, action: Action) -> list[str]:
    with Archive.open(settings.recording.folder) as archive:
        return [entry.detail for entry in archive.audit.entries() if entry.action == action]


def test_footage_is_played_with_the_boxes_and_times_of_live(
    sighting: int, settings: Settings, client: Client
) -> None:
    somebody = client("reviewer")
    with_boxes = played(somebody.get(f"{PLAYBACK}&track=5&epoch={EPOCH}").raise_for_status().content)
    *pictures, (end, nothing) = with_boxes
    assert end == {"end": True, "notes": []} and nothing == b""
    assert [header["ms"] for header, _ in pictures] == [wall_ns(number) / MS for number in range(60)]
    faces = [number for number, (header, _) in enumerate(pictures) if "face" in header]
    assert faces == list(range(FIRST, LAST + 1))
    assert pictures[FIRST][0]["face"][0] == pytest.approx((20 + 2 * FIRST) / 320)
    without = played(somebody.get(f"{PLAYBACK}&boxes=false").content)
    drawn, plain = decoded(pictures[FIRST][1]), decoded(without[FIRST][1])
    assert drawn.shape == plain.shape == (192, 320, 3)
    left, top = round(20 + 2 * FIRST), 40
    assert abs(drawn[top, left : left + 50].astype(int) - plain[top, left : left + 50]).max() > 60
    assert abs(drawn[150:, :20].astype(int) - plain[150:, :20]).max() < 30, "no box there"
    assert len(_logged(settings, Action.VIEWED)) == 1, "going back and forth is one look"


def test_playing_begins_at_the_moment_that_was_asked_for(sighting: int, client: Client) -> None:
    somebody = client("reviewer")
    late = -(-wall_ns(37) // MS)
    first, *_ = played(somebody.get(PLAYBACK.replace(str(FROM), str(late))).content)
    assert first[0]["ms"] == wall_ns(38) / MS
    narrow, *_ = played(somebody.get(f"{PLAYBACK}&width=160").content)
    assert decoded(narrow[1]).shape == (96, 160, 3)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (f"from_ms={FROM}&to_ms={FROM}", 422),
        (f"from_ms={FROM}&to_ms={FROM + 600_001}", 422),
        (f"from_ms={FROM - 90_000}&to_ms={FROM - 60_000}", 404),
        (f"from_ms={FROM}&to_ms={TO}&width=9", 422),
    ],
)
def test_what_cannot_be_played_is_refused_with_a_reason(
    sighting: int, client: Client, query: str, status: int
) -> None:
    answer = client("reviewer").get(f"/api/review/cameras/{CAMERA}/playback?{query}")
    assert answer.status_code == status and answer.json()["detail"]


def test_footage_whose_file_is_gone_ends_with_a_note(
    sighting: int, settings: Settings, client: Client
) -> None:
    (settings.recording.folder / "door/2026-09-21/two.mp4").unlink()
    *pictures, (end, _) = played(client("reviewer").get(PLAYBACK).raise_for_status().content)
    assert len(pictures) == 20 and "two.mp4: cannot be played" in end["notes"][0]


def test_footage_is_let_go_as_soon_as_nobody_watches() -> None:
    closed = list[bool]()

    def endless() -> Generator[bytes, None, None]:
        try:
            while True:
                yield bytes(1000)
        finally:
            closed.append(True)

    async def watch() -> None:
        began = asyncio.Event()

        async def receive() -> Message:
            await began.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                began.set()
                await asyncio.Event().wait()  # its connection takes nothing more

        scope = {"type": "http", "asgi": {"spec_version": "2.3"}, "extensions": {}}
        await asyncio.wait_for(Played(endless())(scope, receive, send), 30)

    asyncio.run(watch())
    assert closed == [True]
