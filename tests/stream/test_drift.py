"""Drift, from a real archive: how alike those named were, week by week."""

from __future__ import annotations

from pathlib import Path

import pytest
from archive_helpers import ADA, GRACE, HOUR, T0, sighting

from engines.masks.state import MaskState
from stream.archive.archive import Archive
from stream.drift import strangers_a_day, weeks
from stream.messages import Candidate

SECOND = 1_000_000_000
WEEK = 7 * 86_400 * SECOND
NOW = T0 + 3 * WEEK


def test_weeks_count_decisions_and_tell_likeness_only_where_enough_were_compared(tmp_path: Path) -> None:
    track = 0
    with Archive.open(tmp_path, write=True) as archive:
        run = archive.begin_run(T0, "1.0", {}, {})
        for week, (bare, strangers, cosine) in enumerate([(25, 35, 0.7), (5, 7, 0.6), (25, 14, 0.5)]):
            for number in range(bare + strangers):
                track += 1
                at = T0 + week * WEEK + number * 60 * SECOND
                candidates = (Candidate(GRACE, 0.01, {"raw": 0.9}), Candidate(ADA, 0.97, {"raw": cosine}))
                values = {"first_ns": at, "last_ns": at + 5 * SECOND, "candidates": candidates}
                if number >= bare:
                    values |= {"decision": "nobody", "person": None, "probability": None}
                archive.put_sighting(sighting(run, track, mask=MaskState.NONE, **values))
            track += 1
            at = T0 + week * WEEK + SECOND
            archive.put_sighting(
                sighting(run, track, first_ns=at, last_ns=at + 5 * SECOND)
            )  # masked: not compared
        found = weeks(archive, NOW)
        assert strangers_a_day(archive, found) == pytest.approx((35 + 7 + 14) / 21)
    assert [(week.seen, week.named, week.nobody, week.undecided) for week in found] == [
        (61, 26, 35, 0),
        (13, 6, 7, 0),
        (40, 26, 14, 0),
    ]
    assert [week.likeness for week in found] == [0.7, None, 0.5]
    assert [week.compared for week in found] == [25, 5, 25]


def test_an_empty_archive_has_no_weeks_and_no_strangers(tmp_path: Path) -> None:
    with Archive.open(tmp_path, write=True) as archive:
        assert weeks(archive, NOW) == []
        assert strangers_a_day(archive, []) is None


@pytest.mark.parametrize(
    ("hours", "a_day"),
    [
        pytest.param(2, None, id="two hours are no day"),
        pytest.param(25, 6 / (25 / 24), id="a little more than a day"),
        pytest.param(60, 6 / 2.5, id="days before the first face are not counted"),
        pytest.param(9 * 24, 6 / 9, id="a part of a week and a whole one"),
    ],
)
def test_strangers_a_day_are_of_the_time_that_was_recorded(
    tmp_path: Path, hours: int, a_day: float | None
) -> None:
    with Archive.open(tmp_path, write=True) as archive:
        run = archive.begin_run(T0, "1.0", {}, {})
        for track in range(6):
            at = NOW - (hours * HOUR if track == 0 else HOUR) + track * SECOND
            values = {"decision": "nobody", "person": None, "probability": None}
            archive.put_sighting(sighting(run, track, first_ns=at, last_ns=at + 5 * SECOND, **values))
        assert strangers_a_day(archive, weeks(archive, NOW)) == (a_day and pytest.approx(a_day))
