"""Web hooks, with a real HTTP server that is down, slow, failing, sending away, or saying no."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from event_helpers import eventually, face, free_port, receiver, seen, settings_with

from stream.archive.archive import Archive
from stream.config import WebHook
from stream.events.channel import Backoff, Undelivered
from stream.events.engine import EventEngine
from stream.events.webhook import WebHookChannel, redirected, signature

QUICK = Backoff(0.02, 0.1)
Start = Callable[..., EventEngine]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(tmp_path / "footage", write=True) as it:
        yield it


@pytest.fixture
def start(archive: Archive) -> Iterator[Start]:
    """Starts an engine whose one rule sends every face to the web hooks of these addresses."""
    with ExitStack() as stack:

        def it(*urls: str, rule: dict[str, Any] | None = None, **hook: Any) -> EventEngine:
            hooks = [{"name": f"hook{n}", "url": url, "timeout_s": 0.5, **hook} for n, url in enumerate(urls)]
            settings = settings_with(
                archive.folder,
                rules=[
                    {"name": "all", "dwell_s": 0, "send_to": [hook["name"] for hook in hooks], **(rule or {})}
                ],
                web_hooks=hooks,
            )
            engine = EventEngine(settings, archive, backoff=QUICK)
            stack.callback(engine.close)
            return engine

        yield it


def open_ones(archive: Archive) -> int:
    return len(archive.deliveries(open_only=True))


def test_a_web_hook_gets_the_document_signed_and_with_a_key_to_know_it_again(
    start: Start, archive: Archive
) -> None:
    with receiver() as at:
        start(at.url.replace("//", "//user:p%40ss@"), secret="between you and me").see(seen(face(5, "Ada")))
        eventually(lambda: not open_ones(archive) and bool(at.got), "delivered")
    headers, body = at.got[0]
    expected = hmac.digest(b"between you and me", body, "sha256").hex()
    assert headers["X-Unvizard-Signature"] == f"sha256={expected}"
    assert headers["Content-Type"] == "application/json"
    assert headers["authorization"] == "Basic " + base64.b64encode(b"user:p@ss").decode()
    event = json.loads(body)
    assert headers["Idempotency-Key"] == event["id"] and event["sighting"]["track"] == 5
    (delivery,) = archive.deliveries()
    assert delivery.attempts == 1 and delivery.error == "" and delivery.done_ns is not None


def test_without_a_secret_nothing_is_signed(start: Start) -> None:
    with receiver() as at:
        start(at.url).see(seen(face()))
        eventually(lambda: bool(at.taken), "delivered")
    assert "X-Unvizard-Signature" not in at.got[0][0]


def test_what_failed_comes_again_and_nothing_overtakes_it(start: Start, archive: Archive) -> None:
    with receiver(500, 503, 408, 408, 429, 429, 200) as at:
        engine = start(at.url)
        for track in range(1, 6):
            engine.see(seen(face(track)))
        eventually(lambda: len(at.taken) == 5, "all delivered")
        eventually(lambda: not open_ones(archive), "all crossed off")
    assert at.tracks == [1, 2, 3, 4, 5]
    keys = [headers["Idempotency-Key"] for headers, _ in at.got]
    assert len(keys) == 11 and len(set(keys[:7])) == 1, "the same event, seven times, with the same key"
    assert len({body for _, body in at.got[:7]}) == 1
    assert [delivery.attempts for delivery in archive.deliveries()] == [7, 1, 1, 1, 1]


def test_a_receiver_that_was_down_gets_everything_when_it_is_back(start: Start, archive: Archive) -> None:
    port = free_port()
    engine = start(f"http://127.0.0.1:{port}/hook")
    for track in range(1, 11):
        engine.see(seen(face(track)))
    eventually(lambda: any("no connection" in note for note in engine.notes), "the trouble is told")
    assert engine.notes == ("Events for hook0 wait: no connection.",)
    eventually(lambda: open_ones(archive) == 10, "all ten are in the archive")
    with receiver(port=port) as at:
        eventually(lambda: len(at.taken) == 10, "delivered")
        eventually(lambda: engine.notes == (), "nothing to tell any more")
    assert at.tracks == list(range(1, 11))


def test_a_receiver_that_says_no_is_asked_three_times_and_the_next_event_goes_out(
    start: Start, archive: Archive
) -> None:
    with receiver(422, 422, 422, 200) as at:
        engine = start(at.url)
        engine.see(seen(face(1)))
        engine.see(seen(face(2)))
        eventually(lambda: at.tracks == [2], "the next one is delivered")
        eventually(lambda: not open_ones(archive), "both crossed off")
    assert engine.notes == ("Events of rule all that hook0 did not get (refused): 1.",)
    first, second = archive.deliveries()
    assert first.error == "refused: answered 422" and second.error == ""
    assert len(archive.events()) == 2, "the event itself stays"


def test_a_receiver_that_says_when_to_come_back_is_not_asked_sooner(start: Start) -> None:
    with receiver((429, {"Retry-After": "1"}), 200) as at:
        began = time.monotonic()
        start(at.url).see(seen(face()))
        eventually(lambda: bool(at.taken), "delivered")
    assert time.monotonic() - began >= 1.0


def test_an_event_goes_to_no_other_host(start: Start, archive: Archive) -> None:
    with receiver() as elsewhere, ExitStack() as stack:
        away = stack.enter_context(receiver((307, {"Location": elsewhere.url}), 307, 307))
        engine = start(away.url)
        engine.see(seen(face()))
        eventually(lambda: bool(archive.deliveries()) and not open_ones(archive), "given up")
        assert elsewhere.got == []
    assert archive.deliveries()[0].error.startswith("refused: redirects to another host")


def test_a_redirect_on_the_same_host_is_followed_with_the_whole_event(start: Start) -> None:
    with receiver((308, {"Location": "/moved"}), 200) as at:
        start(at.url).see(seen(face(4)))
        eventually(lambda: bool(at.taken), "delivered")
    assert at.tracks == [4] and at.got[0][1] == at.got[1][1]


@pytest.mark.parametrize(
    ("url", "location", "leads_to"),
    [
        ("http://h/a", "/b?c=d", "http://h/b?c=d"),
        ("http://h:8080/a", "http://h:8080/b", "http://h:8080/b"),
        ("http://h/a", "https://h/a", "https://h/a"),
        ("https://h/a", "http://h/a", None),
        ("http://h/a", "http://h:8080/a", None),
        ("http://h/a", "https://h:8443/a", None),
        ("https://h/a", "https://h.example.org/a", None),
        ("https://h/a", "https://user:password@h/a", None),
        ("https://h/a", "//elsewhere/a", None),
        ("https://h/a", "", None),
    ],
)
def test_a_redirect_may_lead_to_the_same_host_and_to_tls_and_nowhere_else(
    url: str, location: str, leads_to: str | None
) -> None:
    if leads_to:
        assert redirected(url, location) == leads_to
    else:
        with pytest.raises(Undelivered, match="another host") as refused:
            redirected(url, location)
        assert refused.value.refused


def test_redirects_that_go_round_or_make_a_get_of_it_are_refusals(start: Start, archive: Archive) -> None:
    for answers, reason in (
        ([(307, {"Location": "/hook"})], "refused: redirects more than 3 times"),
        ([(302, {"Location": "/hook"})], "refused: answered 302"),
    ):
        with receiver(*answers) as at:
            channel = WebHookChannel(WebHook(name="h", url=at.url))
            with pytest.raises(Undelivered) as refused:
                channel.send("id", b"{}")
            assert refused.value.refused and f"refused: {refused.value}".startswith(reason)
            channel.close()


def test_a_slow_receiver_delays_neither_the_recorder_nor_another_receiver(
    start: Start, archive: Archive
) -> None:
    with receiver(30.0) as slow, receiver() as quick:
        engine = start(slow.url, quick.url)
        began = time.monotonic()
        for track in range(1, 101):
            engine.see(seen(face(track)))
        assert time.monotonic() - began < 5.0, "a hundred events while one receiver says nothing"
        eventually(lambda: len(quick.taken) == 100, "the other one has them all")
        assert quick.tracks == list(range(1, 101)) and slow.taken == []
        eventually(lambda: "Events for hook0 wait: no answer within 0.5 s." in engine.notes, "told")
        eventually(lambda: open_ones(archive) == 100, "those for the slow one wait")


def test_what_is_too_old_to_matter_expires_with_a_count(start: Start, archive: Archive) -> None:
    two_hours_ago = time.time_ns() - 7200 * 10**9
    with receiver() as at:
        engine = start(at.url, rule={"expires_h": 1.0})
        engine.see(seen(face(1), wall_ns=two_hours_ago))
        engine.see(seen(face(2)))
        eventually(lambda: at.tracks == [2], "only the new one is delivered")
        eventually(lambda: not open_ones(archive), "both crossed off")
        assert engine.notes == ("Events of rule all that hook0 did not get (expired): 1.",)
    assert [delivery.error for delivery in archive.deliveries()] == ["expired", ""]


def test_neither_address_nor_secret_is_in_the_log_or_the_archive(
    start: Start, archive: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    port = free_port()
    engine = start(f"http://user:hunter2@127.0.0.1:{port}/T0KEN/hook", secret="between you and me")
    engine.see(seen(face(1, "Ada Lovelace")))
    eventually(lambda: bool(archive.deliveries()) and archive.deliveries()[0].attempts > 2, "tried")
    said = caplog.text + str(engine.notes) + str(archive.deliveries())
    for secret in ("hunter2", "T0KEN", "between you and me", "Ada Lovelace"):
        assert secret not in said


def test_pauses_double_up_to_the_longest_and_differ_from_each_other() -> None:
    backoff = Backoff(1.0, 60.0)
    for failures, whole in ((1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (500, 60)):
        pauses = {backoff.pause_s(failures) for _ in range(50)}
        assert all(whole / 2 <= pause <= whole for pause in pauses) and len(pauses) > 40


def test_the_signature_is_the_one_of_rfc_4231() -> None:
    assert signature("Jefe", b"what do ya want for nothing?") == (
        "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
