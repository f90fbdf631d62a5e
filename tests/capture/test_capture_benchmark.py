"""The benchmark that the README quotes, in short."""

from __future__ import annotations

import pytest

from tools.benchmarks import capture


def test_the_rtp_reader_is_a_frame_faster_than_ffmpegs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "CODECS", ("h264",))
    monkeypatch.setattr(capture, "STAMPED", {"from the encoder": 0.1})
    figures = capture.measure(seconds=1, size=(640, 360))
    rtp, av = figures["streams"]
    assert (rtp["reader"], av["reader"]) == ("rtp", "av")
    assert rtp["stamps_read"] == av["stamps_read"] == 25
    # A frame lasts 40 ms at 25 a second. The limits leave room for busy machines.
    assert av["ms"]["p50"] - rtp["ms"]["p50"] > 20
    assert rtp["first_picture_s"] < av["first_picture_s"]
