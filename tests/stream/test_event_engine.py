"""Events from the frame to the archive and to receivers, also when the process is killed in between."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from event_helpers import (
    NOON_NS,
    eventually,
    face,
    free_port,
    picture,
    receiver,
    seen,
    settings_with,
)
from numpy.typing import NDArray

import stream
from engines.masks.state import MaskState
from stream.archive.archive import Archive
from stream.archive.incidents import Event as KeptEvent
from stream.config import Privacy
from stream.events.channel import Backoff
from stream.events.document import Event, from_json, schema
from stream.events.engine import EventEngine
from stream.messages import Candidate, EngineInfo, InferenceStatus

Start = Callable[..., EventEngine]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(tmp_path / "footage", write=True) as it:
        yield it


@pytest.fixture
def start(archive: Archive) -> Iterator[Start]:
    """Starts an engine with one rule, which sends to a web hook where there is one."""
    with ExitStack() as stack:

        def it(url: str | None = None, trigger: Any = None, **rule: Any) -> EventEngine:
            hooks = [{"name": "hook", "url": url}] if url else []
            rules = [{"name": "r", "dwell_s": 0, "send_to": [hook["name"] for hook in hooks], **rule}]
            settings = settings_with(archive.folder, rules=rules, web_hooks=hooks)
            engine = EventEngine(settings, archive, 1, trigger, backoff=Backoff(0.02, 0.1))
            stack.callback(engine.close)
            return engine

        yield it


def documents(archive: Archive) -> list[Event]:
    return [from_json(kept.data) for kept in reversed(archive.events())]


def test_an_event_says_who_where_when_how_sure_and_by_what(start: Start, archive: Archive) -> None:
    triggered: list[Any] = []
    engine = start(
        trigger=lambda *what: triggered.append(what), who="person", person="Ada Lovelace", dwell_s=2
    )
    engines = {
        "unmask": EngineInfo("openvino", "fp32", "ab" * 32),
        "sface": EngineInfo("openvino", "fp32", "cd" * 32),
    }
    engine.inference(InferenceStatus(engines=engines, notes=(), gallery_people=1, load=0.1))
    masked = face(4, "Ada Lovelace", probability=0.9996, mask=MaskState.WORN)
    engine.see(seen(face(4), at_s=0, wall_ns=NOON_NS))
    engine.see(seen(face(4), at_s=1, wall_ns=NOON_NS + 10**9))
    engine.see(seen(masked, at_s=2, wall_ns=NOON_NS + 2 * 10**9))
    eventually(lambda: len(archive.events()) == 1, "kept")
    (event,) = documents(archive)
    assert (event.version, event.rule, event.camera, event.time) == (
        1,
        "r",
        "gate",
        "2026-11-21T12:00:02.000Z",
    )
    assert event.text.startswith(
        "Ada Lovelace (probability 99.9 %), masked, reduced reliability, at camera gate, 2026-11-21 "
    )
    was = event.sighting
    assert (was.track, was.epoch, was.decision, was.person) == (4, "7", "person", "Ada Lovelace")
    assert (was.first_seen, was.last_seen) == ("2026-11-21T12:00:00.000Z", "2026-11-21T12:00:02.000Z")
    assert was.masked and was.mask is MaskState.WORN and was.candidates == masked.candidates
    assert was.candidates[0].evidence == {"raw": 0.61} and was.foot == (0.5, 0.5)
    assert event.versions.engines == engines and event.versions.generator == "ab" * 32
    assert (event.versions.gallery, event.versions.unvizard) == (3, stream.__version__)
    assert event.snapshot is None
    assert triggered == [("gate", NOON_NS + 2 * 10**9, "r")]


def test_the_schema_names_every_field_and_holds_a_real_document(start: Start, archive: Archive) -> None:
    start().see(seen(face(1, "Ada")))
    eventually(lambda: len(archive.events()) == 1, "kept")
    document = json.loads(archive.events()[0].data)
    described = schema()["$defs"]
    for name, part in (
        ("Event", document),
        ("EventSighting", document["sighting"]),
        ("Versions", document["versions"]),
        ("Candidate", document["sighting"]["candidates"][0]),
    ):
        assert set(described[name]["properties"]) == set(part), name
        assert described[name]["description"]
    with pytest.raises(msgspec.ValidationError):
        from_json(json.dumps(document | {"version": 2}).encode())


def test_names_and_rules_are_sealed_in_the_archive(start: Start, archive: Archive) -> None:
    start(who="person", person="Ada Lovelace", name="who-comes").see(seen(face(1, "Ada Lovelace")))
    eventually(lambda: len(archive.events()) == 1, "kept")
    files = [path.read_bytes() for path in archive.folder.iterdir() if path.is_file()]
    assert files and not any(b"Lovelace" in data or b"who-comes" in data for data in files)


def test_a_snapshot_is_the_picture_that_was_there_or_comes_soon_after(start: Start, archive: Archive) -> None:
    with receiver() as at:
        engine = start(at.url, snapshot=True)
        engine.see(seen(face(1)))
        engine.look(picture(1, jpeg=b"\xff\xd8 first"))
        engine.look(picture(1, jpeg=b"\xff\xd8 second"))
        eventually(lambda: len(at.taken) == 1, "delivered")
        engine.see(seen(face(1), at_s=61.0))  # another track: the first is over
        engine.look(picture(1, jpeg=b"\xff\xd8 third"))
        eventually(lambda: len(at.taken) == 2, "delivered")
        engine.see(seen(face(1), at_s=65.0))
        engine.look(picture(2, jpeg=b"\xff\xd8 of somebody else"))
        engine.see(seen(face(3), at_s=66.0))
        began = time.monotonic()
        eventually(lambda: len(at.taken) == 3, "delivered without a picture")
        assert time.monotonic() - began > 1.0, "it was waited for"
    shown = [event["snapshot"] and base64.b64decode(event["snapshot"]["jpeg"]) for event in at.taken]
    assert shown == [b"\xff\xd8 first", b"\xff\xd8 third", None]
    assert at.taken[0]["snapshot"]["time"] == "2026-11-21T12:00:00.000Z"
    kept = [event.snapshot and event.snapshot.jpeg for event in documents(archive)]
    assert kept == shown


def test_with_blur_others_a_snapshot_shows_no_stranger_and_of_somebody_enrolled_the_face_alone(
    archive: Archive,
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (24, 24, 3)).astype(np.uint8)
    face_jpeg = cv2.imencode(".jpg", cv2.resize(noise, (240, 240), interpolation=cv2.INTER_NEAREST))[
        1
    ].tobytes()
    with receiver() as at:
        rules = [{"name": "r", "dwell_s": 0, "send_to": ["hook"], "snapshot": True}]
        settings = settings_with(archive.folder, rules=rules, web_hooks=[{"name": "hook", "url": at.url}])
        settings = settings.model_copy(update={"privacy": Privacy(blur_others=True)})
        engine = EventEngine(settings, archive, 1, None, backoff=Backoff(0.02, 0.1))
        try:
            engine.see(seen(face(1)))
            engine.look(picture(1, jpeg=face_jpeg))
            eventually(lambda: len(at.taken) == 1, "delivered")
            engine.see(seen(face(2, "Ada Lovelace"), at_s=1.0))
            engine.look(picture(2, jpeg=face_jpeg))
            eventually(lambda: len(at.taken) == 2, "delivered")
        finally:
            engine.close()
    before = pixels(face_jpeg)
    stranger, ada = (pixels(base64.b64decode(event["snapshot"]["jpeg"])) for event in at.taken)
    middle = np.s_[100:140, 100:140]
    assert stranger[middle].std() < 0.5 * before[middle].std()
    assert np.abs(ada[middle] - before[middle]).mean() < 8
    assert ada[:20].std() < 0.5 * before[:20].std()


def pixels(jpeg: bytes) -> NDArray[np.float32]:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(np.float32)


def test_an_event_does_not_get_the_picture_of_a_track_that_another_inference_process_counts_alike(
    start: Start, archive: Archive
) -> None:
    with receiver() as at:
        engine = start(at.url, snapshot=True)
        engine.see(seen(face(1)))
        engine.see(seen(at_s=0.5, epoch=8))
        engine.look(picture(1, jpeg=b"\xff\xd8 of somebody else"))
        eventually(lambda: len(at.taken) == 1, "delivered")
    assert at.taken[0]["snapshot"] is None


def test_no_picture_leaves_when_the_rule_does_not_ask_for_it(start: Start) -> None:
    with receiver() as at:
        engine = start(at.url, dwell_s=1)
        engine.see(seen(face(1)))
        engine.look(picture(1))
        engine.see(seen(face(1), at_s=1))
        eventually(lambda: len(at.taken) == 1, "delivered")
    assert at.taken[0]["snapshot"] is None


def test_a_recorder_that_starts_again_does_not_repeat_what_was_told(start: Start, archive: Archive) -> None:
    first = start()
    first.see(moment(face(1, "Ada")))
    eventually(lambda: len(archive.events()) == 1, "kept")
    first.close()
    second = start()
    second.see(moment(face(1)))  # the same track goes on
    second.see(moment(face(2, "Ada"), epoch=8))  # and the same person
    second.see(moment(face(3, "Bob"), epoch=8))
    eventually(lambda: len(archive.events()) == 2, "kept")
    assert [event.sighting.person for event in documents(archive)] == ["Ada", "Bob"]


def moment(*faces: Any, epoch: int = 7) -> Any:
    """A frame of now, by both of this machine's clocks."""
    result = seen(*faces, epoch=epoch)
    frame = msgspec.structs.replace(result.frame, captured_ns=time.monotonic_ns())
    return msgspec.structs.replace(result, frame=frame)


def test_what_an_archive_does_not_take_now_it_takes_later_and_nothing_waits_for_it(
    start: Start, archive: Archive
) -> None:
    with receiver() as at:
        engine = start(at.url)
        with archive.transaction():  # as a disk that does not come back from a write
            began = time.monotonic()
            for track in range(1, 1101):
                engine.see(seen(face(track)))
            assert time.monotonic() - began < 10
            assert archive.events() == []
        eventually(lambda: not engine._keeper._waiting.qsize(), "all kept")
        eventually(lambda: len(at.taken) == len(archive.deliveries()), "all delivered", 30)
        lost = 1100 - len(at.taken)
        assert 98 <= lost <= 100, "a thousand were held in memory, and perhaps one in the hand"
        assert engine.notes == (f"Events lost because they could not be written: {lost}.",)
        assert at.tracks == list(range(1, 1101 - lost))


KILLED = """
import sys, time
sys.path.insert(0, "tests/stream")
from pathlib import Path
from event_helpers import face, seen, settings_with
from stream.events.channel import Backoff
from stream.events.engine import EventEngine
from stream.archive.archive import Archive
from stream.archive.incidents import Event as KeptEvent
from stream.config import Privacy

folder, url, first = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
hooks = [{"name": "hook", "url": url}]
settings = settings_with(folder, rules=[{"name": "r", "dwell_s": 0, "send_to": ["hook"]}], web_hooks=hooks)
archive = Archive.open(folder, write=True)
engine = EventEngine(settings, archive, 1, backoff=Backoff(0.02, 0.1))
for track in range(first, first + 20):
    engine.see(seen(face(track)))
while len(archive.events()) < first + 19:
    time.sleep(0.01)
print("kept", flush=True)
time.sleep(60)
"""


def killed_with_twenty_more(folder: Path, url: str, first: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), url, str(first)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "kept\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_a_process_killed_with_undelivered_events_leaves_them_to_the_next_one(tmp_path: Path) -> None:
    folder, port = tmp_path / "footage", free_port()
    url = f"http://127.0.0.1:{port}/hook"
    killed_with_twenty_more(folder, url, 1)
    with receiver(port=port) as at:
        killed_with_twenty_more(folder, url, 21)  # killed while it delivers
        before = list(dict.fromkeys(at.tracks))
        assert before == list(range(1, len(before) + 1))
    with receiver(port=port) as at, Archive.open(folder, write=True) as archive:
        hooks = [{"name": "hook", "url": url}]
        settings = settings_with(
            folder, rules=[{"name": "r", "dwell_s": 0, "send_to": ["hook"]}], web_hooks=hooks
        )
        engine = EventEngine(settings, archive, 1, backoff=Backoff(0.02, 0.1))
        eventually(lambda: not archive.deliveries(open_only=True), "all delivered")
        engine.close()
        assert sorted({*before, *at.tracks}) == list(range(1, 41))
        assert at.tracks == sorted(set(at.tracks)) and (not before or at.tracks[:1] >= [len(before)])


def test_who_was_erased_is_in_no_event_any_more_and_in_none_that_is_still_to_come(
    start: Start, archive: Archive
) -> None:
    lonely = start(f"http://127.0.0.1:{free_port()}/", snapshot=True)
    lonely.see(seen(face(1, "Ada"), face(2, "Bob")))
    eventually(lambda: len(archive.events()) == 2, "kept")
    archive.erase_person("Ada")
    lonely.look(picture(1))  # comes too late
    lonely.see(seen(face(3, "Ada"), at_s=1, camera="yard"))  # the pipeline does not know it yet
    doubtful = msgspec.structs.replace(
        face(4, "Bob"), candidates=(Candidate("Bob", 0.97, {}), Candidate("Ada", 0.02, {}))
    )
    lonely.see(seen(doubtful, at_s=2, camera="yard"))
    eventually(lambda: len(archive.events()) == 3, "the one about Bob is kept")
    told = [json.loads(kept.data)["sighting"] for kept in archive.events() if kept.data]
    assert [(each["track"], len(each["candidates"])) for each in told] == [(4, 1), (2, 1)]
    assert not any(b"Ada" in kept.data for kept in archive.events())
    assert len(archive.deliveries(open_only=True)) == 2


def test_a_rule_that_looks_at_a_camera_which_there_is_not_is_told(start: Start) -> None:
    engine = start(cameras=["gate", "gaet"])
    assert engine.notes == ("Rule r looks at camera gaet, which there is not.",)


def test_an_event_that_a_newer_release_has_left_is_delivered_as_it_is(start: Start, archive: Archive) -> None:
    document = b'{"version": 9, "id": "of tomorrow", "sighting": {"track": 1}}'
    kept = KeptEvent(rule="r", camera="gate", run=1, at_ns=time.time_ns(), data=document)
    archive.put_event(kept, ("hook",))
    with receiver() as at:
        start(at.url)
        eventually(lambda: len(at.got) == 1, "delivered")
    assert at.got[0][1] == document and at.got[0][0]["Idempotency-Key"] == "of tomorrow"


def test_the_end_of_a_run_delivers_what_can_be_delivered(start: Start, archive: Archive) -> None:
    with receiver(0.3) as at:
        engine = start(at.url)
        for track in (1, 2, 3):
            engine.see(seen(face(track)))
        engine.close()
        assert at.tracks == [1, 2, 3] and not archive.deliveries(open_only=True)
    lonely = start(f"http://127.0.0.1:{free_port()}/")
    lonely.see(seen(face(4)))
    began = time.monotonic()
    lonely.close()
    assert time.monotonic() - began < 8
    assert len(archive.deliveries(open_only=True)) == 1
