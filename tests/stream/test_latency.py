import numpy as np
import pytest

from stream.latency import CAPTURE_TO_OVERLAY, Histogram, Latencies, durations_ms
from stream.messages import FrameReady, FrameResult

MINUTE = 60_000_000_000


@pytest.mark.parametrize("scale", [0.05, 3.0, 40.0, 9000.0])
def test_quantiles_are_within_two_percent_of_the_exact_ones(scale):
    values = np.random.default_rng(7).lognormal(0, 0.8, 20_000) * scale
    histogram = Histogram()
    for value in values:
        histogram.add(float(value))
    shares = (0.01, 0.5, 0.95, 0.99, 0.999)
    exact = np.quantile(values, shares, method="inverted_cdf")
    np.testing.assert_allclose(histogram.quantiles(*shares), exact, rtol=0.02)
    assert histogram.summary()["max"] == round(values.max(), 3)


def test_an_empty_histogram_says_nought():
    assert Histogram().summary() == {"p50": 0, "p95": 0, "p99": 0, "max": 0, "count": 0}


def test_one_value_is_all_of_its_quantiles():
    histogram = Histogram()
    histogram.add(12.5)
    assert histogram.quantiles(0.01, 0.5, 1.0) == pytest.approx([12.5] * 3, rel=0.015)
    assert histogram.quantiles(0.99)[0] <= 12.5


def test_durations_beyond_the_scale_stay_in_its_ends():
    histogram = Histogram()
    for value in (-1.0, 0.0, 1e-9, 1e12):
        histogram.add(value)
    assert histogram.quantiles(0.5) == [0.001]
    assert histogram.largest_ms == 1e12


def test_a_histogram_outlives_its_process():
    histogram = Histogram()
    for value in range(1, 1000):
        histogram.add(value / 7)
    assert Histogram.load(histogram.dump()).summary() == histogram.summary()


def test_the_stages_add_up_to_the_whole_way():
    frame = FrameReady("gate", 1, "r", 0, 2, 64, 64, 0, 0, 1_000_000, 4_000_000)
    stamps = {"wait": 5_000_000, "detect": 25_000_000, "recognise": 26_500_000}
    spent = durations_ms(FrameResult(frame, (), stamps, {}), 27_000_000, 30_000_000)
    assert spent == {
        "decode": 3.0,
        "wait": 1.0,
        "detect": 20.0,
        "recognise": 1.5,
        "bus": 0.5,
        "draw": 3.0,
        "capture_to_overlay": 26.0,
    }


def test_the_trend_shows_latency_that_grows_from_minute_to_minute():
    latencies = Latencies(0)
    for minute in range(6):
        for frame in range(50):
            latencies.add({CAPTURE_TO_OVERLAY: 20.0 + 5 * minute}, minute * MINUTE + frame * MINUTE // 50)
    assert [minute.minute for minute in latencies.minutes()] == [0, 1, 2, 3, 4, 5]
    assert [minute.shown for minute in latencies.minutes()] == [50] * 6
    assert latencies.slope_p99_ms_per_minute() == pytest.approx(5, rel=0.05)


def test_a_run_too_short_for_a_trend_says_so():
    latencies = Latencies(0)
    latencies.add({CAPTURE_TO_OVERLAY: 20.0}, 1)
    assert latencies.slope_p99_ms_per_minute() is None


def test_recent_figures_forget_what_is_ten_seconds_old():
    latencies = Latencies(0)
    for frame in range(250):
        latencies.add({CAPTURE_TO_OVERLAY: 500.0}, frame * 40_000_000)
    for frame in range(300):
        latencies.add({CAPTURE_TO_OVERLAY: 10.0}, (250 + frame) * 40_000_000)
    now = 550 * 40_000_000
    assert latencies.recent(now)[CAPTURE_TO_OVERLAY]["max"] == 10.0
    assert latencies.rate(now) == pytest.approx(25, rel=0.05)
    assert latencies.summaries()[CAPTURE_TO_OVERLAY]["max"] == 500.0
    assert latencies.recent(now + 20_000_000_000) == {}
    assert latencies.rate(now + 20_000_000_000) == 0


def test_memory_does_not_grow_with_the_number_of_durations():
    latencies = Latencies(0)
    for i in range(20_000):
        latencies.add({CAPTURE_TO_OVERLAY: float(i % 700), "draw": 1.0}, i * MINUTE)
    assert len(latencies.minutes()) <= 24 * 60 + 1
    assert len(latencies.dump().stages[CAPTURE_TO_OVERLAY].counts) < 800
