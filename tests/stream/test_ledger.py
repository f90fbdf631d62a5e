import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.ledger import Account, Ledger


def balanced(ledger: Ledger, camera: str = "gate", final: bool = True) -> bool:
    frames = ledger.account(camera).frames(final)
    return frames["captured"] == frames["shown"] + sum(frames["skipped"].values())


def test_a_frame_that_is_shown_settles_the_frames_before_it_by_their_reasons(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    ledger.settle("gate", 1, {})
    ledger.settle("gate", 5, {"superseded": 2, "overwritten": 1})
    assert ledger.account("gate").frames(final=True) == {
        "captured": 5,
        "processed": 2,
        "shown": 2,
        "skipped": {"overwritten": 1, "superseded": 2},
    }


def test_frames_that_nobody_spoke_of_were_lost_with_a_stage(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    ledger.settle("gate", 10, {"superseded": 3})
    assert ledger.account("gate").skipped == {"superseded": 3, "stage_down": 6}
    assert balanced(ledger)


def test_frames_without_a_result_at_the_end_were_in_flight(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    ledger.settle("gate", 4, {"superseded": 3})
    ledger.captured("gate", 9)
    assert ledger.account("gate").frames(final=True)["skipped"]["in_flight_at_stop"] == 5
    assert ledger.account("gate").frames(final=False)["skipped"]["in_flight"] == 5
    assert balanced(ledger) and balanced(ledger, final=False)


def test_a_frame_is_booked_once(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    assert ledger.settle("gate", 3, {"superseded": 2})
    assert not ledger.settle("gate", 3, {})
    assert not ledger.settle("gate", 2, {})
    assert ledger.account("gate").shown == 1
    assert balanced(ledger)


def test_a_stage_that_claims_more_than_there_was_does_not_break_the_sum(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    ledger.settle("gate", 3, {"superseded": 7, "overwritten": 7})
    assert ledger.account("gate").skipped == {"superseded": 2}
    assert balanced(ledger)


turn = st.tuples(
    st.integers(-3, 40),  # how far the sequence goes on
    st.dictionaries(st.sampled_from(["superseded", "overwritten", "decoder"]), st.integers(-2, 30)),
    st.sampled_from([None, "superseded_before_overlay", "overwritten_before_overlay"]),
    st.integers(0, 60),  # what the camera says beyond it
    st.booleans(),  # the overlay is killed after this
    st.booleans(),  # ... before it could save
)


@settings(max_examples=200, deadline=None)
@given(turns=st.lists(turn, max_size=30))
def test_captured_is_always_shown_plus_skipped_whatever_happens(tmp_path_factory, turns):
    path = tmp_path_factory.mktemp("ledger") / "ledger"
    ledger = Ledger(path)
    sequence = 0
    for step, passed_over, skipped, ahead, killed, unsaved in turns:
        sequence = max(1, sequence + step)
        ledger.settle("gate", sequence, passed_over, skipped)
        ledger.captured("gate", sequence + ahead)
        assert balanced(ledger) and balanced(ledger, final=False)
        if not (killed and unsaved):
            ledger.save()
        if killed:
            ledger = Ledger(path)
            assert balanced(ledger)
    assert ledger.account("gate").settled <= ledger.account("gate").captured


WRITER = """
import sys
from pathlib import Path
from stream.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
sequence = ledger.account("gate").settled
print("ready", flush=True)
while True:
    sequence += 3
    ledger.settle("gate", sequence, {"superseded": 1})
    ledger.save()
"""


def test_the_books_balance_after_kills_at_any_moment(tmp_path):
    path = tmp_path / "ledger"
    shown = 0
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE)
        assert process.stdout and process.stdout.readline()
        deadline = time.monotonic() + 10
        while Ledger(path).account("gate").shown <= shown and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        ledger = Ledger(path)
        assert ledger.resumed
        account = ledger.account("gate")
        assert account.shown > shown
        assert account.skipped == {"superseded": account.shown, "stage_down": account.shown}
        assert balanced(ledger)
        shown = account.shown


def test_books_that_cannot_be_read_begin_anew_and_still_balance(tmp_path, caplog):
    path = tmp_path / "ledger"
    path.write_bytes(b"\x00nonsense")
    ledger = Ledger(path)
    ledger.settle("gate", 8, {})
    assert "cannot be read" in caplog.text
    assert ledger.account("gate").skipped == {"stage_down": 7}
    assert balanced(ledger)


def test_saving_leaves_nothing_but_the_ledger(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger")
    ledger.settle("gate", 1, {})
    ledger.save()
    assert [path.name for path in tmp_path.iterdir()] == ["ledger"]
    assert msgspec.json.decode((tmp_path / "ledger").read_bytes(), type=dict[str, Account])["gate"].shown == 1
