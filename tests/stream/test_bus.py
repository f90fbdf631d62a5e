"""The sockets between stages: everything that is ours arrives, and nothing else does any harm."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from stream.bus import FRAMES, RESULTS, Inbox, Outbox
from stream.messages import AnyMessage, FaceCard, StageStatus, encode


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="uvz-") as folder:  # ipc addresses are short: 107 bytes
        yield Path(folder)


@pytest.fixture
def inbox(directory: Path) -> Iterator[Inbox]:
    box = Inbox(directory, RESULTS)
    yield box
    box.close()


def note(n: int) -> StageStatus:
    return StageStatus("test", n, "")


def wait_for(
    inbox: Inbox, enough: Callable[[list[AnyMessage]], bool], seconds: float = 10.0
) -> list[AnyMessage]:
    """All messages until there are enough of them, or until the deadline."""
    deadline = time.monotonic() + seconds
    messages: list[AnyMessage] = []
    while not enough(messages) and time.monotonic() < deadline:
        messages.extend(inbox.drain(50))
    return messages


def raw(directory: Path, name: str = RESULTS) -> zmq.Socket[bytes]:
    """A sender that does not keep to the rules."""
    socket = zmq.Context.instance().socket(zmq.PUSH)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(f"ipc://{directory / name}")
    return socket


def test_messages_arrive_in_the_order_in_which_they_were_sent(directory: Path, inbox: Inbox) -> None:
    outbox = Outbox(directory, RESULTS)
    for n in range(200):
        assert outbox.send(note(n))
    assert wait_for(inbox, lambda got: len(got) >= 200) == [note(n) for n in range(200)]
    outbox.close()


SENDER = """
import sys
from pathlib import Path
from stream.bus import RESULTS, Outbox
from stream.messages import StageStatus

outbox = Outbox(Path(sys.argv[1]), RESULTS)
for n in range(100):
    assert outbox.send(StageStatus(sys.argv[2], n, ""))
outbox.close()
"""


def test_processes_that_send_and_end_at_once_lose_nothing(directory: Path, inbox: Inbox) -> None:
    names = ("a", "b")
    senders = [subprocess.Popen([sys.executable, "-c", SENDER, str(directory), name]) for name in names]
    messages = wait_for(inbox, lambda got: len(got) >= 200, 30)
    assert [sender.wait(10) for sender in senders] == [0, 0]
    for name in names:
        mine = [message for message in messages if isinstance(message, StageStatus) and message.stage == name]
        assert [message.restarts for message in mine] == list(range(100))


def test_the_two_sockets_of_a_run_are_apart(directory: Path, inbox: Inbox) -> None:
    frames = Inbox(directory, FRAMES)
    outbox = Outbox(directory, FRAMES)
    outbox.send(note(1))
    assert wait_for(frames, bool) == [note(1)]
    assert list(inbox.drain(0)) == []
    outbox.close()
    frames.close()


def test_nothing_to_take_is_no_reason_to_wait_longer_than_asked(inbox: Inbox) -> None:
    start = time.monotonic()
    assert list(inbox.drain(30)) == []
    assert 0.02 <= time.monotonic() - start < 5


def test_what_is_sent_before_anyone_listens_is_kept_up_to_a_thousand(directory: Path) -> None:
    outbox = Outbox(directory, RESULTS)
    sent = 0
    while outbox.send(note(sent)):
        sent += 1
        assert sent <= 1000
    inbox = Inbox(directory, RESULTS)
    assert wait_for(inbox, lambda got: len(got) >= sent) == [note(n) for n in range(sent)]
    assert sent == 1000
    outbox.close()
    inbox.close()


def test_a_reader_that_hangs_never_blocks_the_sender(directory: Path, inbox: Inbox) -> None:
    outbox = Outbox(directory, RESULTS)
    card = FaceCard("door", 1, 1, bytes(50_000), bytes(50_000), 0.3)
    slowest = refused = 0.0
    deadline = time.monotonic() + 20
    while refused < 50 and time.monotonic() < deadline:
        start = time.monotonic()
        refused += not outbox.send(card)
        slowest = max(slowest, time.monotonic() - start)
    assert refused == 50
    assert slowest < 1
    assert wait_for(inbox, bool)[0] == card  # and when it wakes up again, all goes on
    outbox.close()


def test_a_sender_without_a_reader_closes_within_its_half_second(directory: Path) -> None:
    outbox = Outbox(directory, RESULTS)
    outbox.send(note(1))
    start = time.monotonic()
    outbox.close()
    assert time.monotonic() - start < 5


def test_a_reader_that_is_started_again_gets_what_is_sent_from_then_on(directory: Path) -> None:
    outbox = Outbox(directory, RESULTS)
    first = Inbox(directory, RESULTS)
    outbox.send(note(1))
    assert wait_for(first, bool) == [note(1)]
    first.close()
    second = Inbox(directory, RESULTS)
    deadline = time.monotonic() + 10
    got: list[AnyMessage] = []
    n = 2
    while not got and time.monotonic() < deadline:
        outbox.send(note(n))
        n += 1
        got = list(second.drain(20))
    assert got
    outbox.close()
    second.close()


@pytest.mark.parametrize(
    "garbage",
    [
        [b""],
        [b"\x80\x04\x95pickle."],
        [b"\x00" * 100_000],
        [encode(note(1))[:-1]],
        [encode(note(1)).replace(b"test", b"te\xffs")],
        [encode(note(1)), encode(note(2))],
    ],
    ids=["empty", "pickle", "zeros", "cut short", "no text", "two parts"],
)
def test_garbage_is_counted_and_what_follows_it_arrives(
    directory: Path, inbox: Inbox, garbage: list[bytes]
) -> None:
    stranger = raw(directory)
    stranger.send_multipart(garbage)
    stranger.send(encode(note(7)))
    assert wait_for(inbox, bool) == [note(7)]
    assert inbox.rejected == 1
    stranger.close()


def test_a_message_too_large_is_not_taken_and_other_senders_are_not_disturbed(
    directory: Path, inbox: Inbox
) -> None:
    stranger = raw(directory)
    stranger.send(bytes((16 << 20) + 1))
    outbox = Outbox(directory, RESULTS)
    for n in range(20):
        outbox.send(note(n))
    assert wait_for(inbox, lambda got: len(got) >= 20) == [note(n) for n in range(20)]
    assert inbox.rejected == 0  # the connection was cut before it became a message
    stranger.close()
    outbox.close()


def test_a_large_message_within_the_limit_arrives(directory: Path, inbox: Inbox) -> None:
    card = FaceCard("door", 1, 1, bytes(7 << 20), bytes(7 << 20), 0.3)
    outbox = Outbox(directory, RESULTS)
    outbox.send(card)
    assert wait_for(inbox, bool) == [card]
    outbox.close()
