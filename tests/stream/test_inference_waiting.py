"""What inference takes of the frames that wait."""

from __future__ import annotations

from stream.inference_stage import Waiting
from stream.messages import FrameReady


def frame(camera: str, sequence: int) -> FrameReady:
    return FrameReady(
        camera=camera,
        sequence=sequence,
        ring="r",
        slot=0,
        generation=2,
        width=2,
        height=2,
        media_ns=sequence,
        wall_ns=0,
        received_ns=0,
        captured_ns=0,
    )


def test_live_only_the_newest_frame_of_each_camera_is_taken_and_the_others_are_counted() -> None:
    waiting = Waiting(live=True)
    waiting.add([frame("b", 1), frame("a", 1), frame("a", 2), frame("a", 3)])
    assert [(f.camera, f.sequence) for f in waiting.take()] == [("a", 3), ("b", 1)]
    assert waiting.skipped("a") == {"superseded": 2}
    assert waiting.skipped("a") == {}
    assert waiting.skipped("b") == {}
    assert not waiting


def test_in_replay_every_frame_is_taken_in_order() -> None:
    waiting = Waiting(live=False)
    waiting.add([frame("a", 1), frame("a", 2), frame("a", 3)])
    assert [waiting.take()[0].sequence for _ in range(3)] == [1, 2, 3]
    assert waiting.take() == []
    assert waiting.skipped("a") == {}
