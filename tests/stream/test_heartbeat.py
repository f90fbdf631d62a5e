"""Signs of life: who has begun to beat, who is silent, and who has not begun."""

import time

from stream.heartbeat import Heartbeat, living_stages, silence_s


def test_a_stage_that_beats_is_not_silent_and_is_known_by_its_process(tmp_path):
    beating = Heartbeat(tmp_path, "gate")
    assert silence_s(tmp_path, "gate") < 5
    began = time.monotonic()
    while silence_s(tmp_path, "gate") < 0.05:
        assert time.monotonic() - began < 5
    beating.beat()
    assert silence_s(tmp_path, "gate") < 0.05
    assert list(living_stages(tmp_path)) == ["gate"]


def test_a_stage_that_has_not_begun_to_beat_is_not_taken_for_a_silent_one(tmp_path):
    assert silence_s(tmp_path, "gate") == 0
    (tmp_path / "gate.heartbeat").write_bytes(b"")
    assert silence_s(tmp_path, "gate") == 0
    (tmp_path / "gate.heartbeat").write_bytes(bytes(16))  # made, and not yet beaten in
    assert silence_s(tmp_path, "gate") == 0
