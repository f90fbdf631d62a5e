"""Rules: who, where, when, for how long, and how often."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from event_helpers import NOON_NS, face, picture, seen
from hypothesis import given
from hypothesis import strategies as st

from engines.masks.state import MaskState
from stream.config import ConfigError, Settings, parse
from stream.events.hours import in_force, local_time
from stream.events.watch import Watch
from stream.events.zones import foot_point, inside
from stream.messages import FrameResult

BERLIN = ZoneInfo("Europe/Berlin")
SQUARE = [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]]
HOOF = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.7, 1.0], [0.7, 0.3], [0.3, 0.3], [0.3, 1.0], [0.0, 1.0]]


def site(*rules: dict[str, Any], **more: Any) -> Settings:
    return parse(
        {"events": {"rules": [{"name": "r", "dwell_s": 0, **rule} for rule in rules]} | more}, "test"
    )


def met(settings: Settings, *results: FrameResult, zone: Any = None) -> list[tuple[int, float]]:
    """(track, media seconds) of each time that a rule was met."""
    watch = Watch(settings, zone)
    return [
        (each.track.track, each.seen.media_ns / 1e9) for result in results for each in list(watch.see(result))
    ]


def utc(year: int, month: int, day: int, hour: int, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("rule", "who", "meant"),
    [
        ({}, face(), True),
        ({"who": "person", "person": "Ada"}, face(person="Ada"), True),
        ({"who": "person", "person": "ADA"}, face(person="ada"), True),
        ({"who": "person", "person": "Ada"}, face(person="Bob"), False),
        ({"who": "person", "person": "Ada"}, face(), False),
        ({"who": "enrolled"}, face(person="Bob"), True),
        ({"who": "enrolled"}, face(decision="nobody", probability=0.95), False),
        ({"who": "unknown"}, face(decision="nobody", probability=0.95), True),
        ({"who": "unknown"}, face(), False),
        ({"mask": "worn"}, face(mask=MaskState.WORN), True),
        ({"mask": "worn"}, face(mask=MaskState.WORN_WRONGLY), False),
        ({"mask": "none"}, face(mask=None), False),
        ({"mask": "any"}, face(mask=None), True),
        ({"cameras": ["yard"]}, face(), False),
        ({"cameras": ["yard", "gate"]}, face(), True),
    ],
)
def test_a_rule_speaks_of_those_it_means_only(rule: dict[str, Any], who: Any, meant: bool) -> None:
    assert bool(met(site(rule), seen(who))) is meant


@pytest.mark.parametrize(("probability", "fires"), [(0.9, True), (0.899, False), (0.75, False)])
def test_a_name_that_is_only_kept_from_earlier_makes_no_event(probability: float, fires: bool) -> None:
    # Once given, a name is shown down to 0.8 x decide_at, so that it does not flicker.
    rule = site({"who": "person", "person": "Ada"})
    assert bool(met(rule, seen(face(person="Ada", probability=probability)))) is fires


def test_a_face_stands_where_its_box_ends_below() -> None:
    assert foot_point((100, 20, 300, 180), 400, 200) == (0.5, 0.9)
    assert foot_point((-50, 150, 10, 260), 400, 200) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("point", "corners", "within"),
    [
        ((0.5, 0.5), SQUARE, True),
        ((0.1, 0.5), SQUARE, False),
        ((0.2, 0.5), SQUARE, True),
        ((0.8, 0.8), SQUARE, True),
        ((0.5, 0.9), HOOF, False),
        ((0.15, 0.9), HOOF, True),
        ((0.85, 0.3), HOOF, True),
        ((0.5, 0.3), HOOF, True),
        ((0.5, 0.31), HOOF, False),
    ],
)
def test_a_zone_is_what_was_drawn_with_its_edges(
    point: tuple[float, float], corners: list[list[float]], within: bool
) -> None:
    assert inside(point, [(x, y) for x, y in corners]) is within


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=3), st.data())
def test_the_middle_of_a_triangle_is_inside_whichever_way_round_it_was_drawn(corners: Any, data: Any) -> None:
    (ax, ay), (bx, by), (cx, cy) = corners
    if abs((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) < 1e-3:
        return
    middle = ((ax + bx + cx) / 3, (ay + by + cy) / 3)
    assert inside(middle, corners) and inside(middle, corners[::-1])
    assert not inside((1.5, data.draw(st.floats(0, 1))), corners)


def test_a_rule_with_a_zone_holds_inside_it_on_its_camera_only() -> None:
    rule = site({"zone": "door"}, zones=[{"name": "door", "camera": "gate", "points": SQUARE}])
    inside_it, outside = face(box=(40, 20, 60, 50)), face(box=(40, 20, 60, 90))
    assert met(rule, seen(inside_it))
    assert not met(rule, seen(outside))
    assert not met(rule, seen(inside_it, camera="yard"))


def test_dwelling_counts_from_the_step_into_the_zone_and_forgives_a_trembling_box() -> None:
    rule = site({"zone": "door", "dwell_s": 3}, zones=[{"name": "door", "camera": "gate", "points": SQUARE}])
    there, away = (40, 20, 60, 50), (40, 20, 60, 90)

    def at(second: float, box: Any) -> FrameResult:
        return seen(face(box=box), at_s=second)

    trembling = [at(t / 4, away if t in (6, 9) else there) for t in range(16)]
    assert met(rule, *trembling) == [(1, 3.0)]
    left = [at(t / 4, away if 4 <= t <= 9 else there) for t in range(24)]
    assert met(rule, *left) == [(1, 5.5)], "who was away for more than a second begins anew"
    assert not met(rule, at(0, there), at(2.9, there)), "nobody saw what was between"


def test_dwelling_does_not_count_before_a_timeline_that_went_back() -> None:
    rule = site({"dwell_s": 2})
    frames = [seen(face(), at_s=t / 2) for t in (100, 101, 102, 103, 0, 1, 2, 3)]
    assert met(rule, *frames) == []
    assert met(rule, *frames, seen(face(), at_s=2.0)) == [(1, 2.0)]


def test_a_rule_rests_about_a_track_and_about_a_person_on_one_camera() -> None:
    rule = site({"cooldown_s": 60})
    quarter_hour = [seen(face(), at_s=t / 2) for t in range(300)]
    assert met(rule, *quarter_hour) == [(1, 0.0), (1, 60.0), (1, 120.0)]
    assert met(rule, seen(face(1)), seen(face(2), at_s=1)) == [(1, 0.0), (2, 1.0)]
    again = seen(face(1)), seen(face(1, "Ada"), at_s=1), seen(face(2, "Ada"), at_s=2)
    assert met(rule, *again) == [(1, 0.0), (2, 2.0)], "the first event did not know that it was Ada"
    named = seen(face(1, "Ada")), seen(face(2, "ada"), at_s=2), seen(face(2, "Ada"), at_s=3, camera="yard")
    assert met(rule, *named) == [(1, 0.0), (2, 3.0)]


def test_a_clock_that_is_set_back_or_forth_keeps_no_rule_quiet_and_makes_none_speak_twice() -> None:
    rule = site({"cooldown_s": 60, "dwell_s": 1})
    hour = 3600 * 10**9
    walls = [NOON_NS, NOON_NS + 10**9, NOON_NS - hour, NOON_NS + 5 * hour]
    frames = [seen(face(), at_s=float(t), wall_ns=wall) for t, wall in enumerate(walls)]
    assert met(rule, *frames) == [(1, 1.0)]
    later = [seen(face(), at_s=t / 2, wall_ns=NOON_NS - hour) for t in range(8, 124)]
    assert met(rule, *frames, *later) == [(1, 1.0), (1, 61.0)]


def test_tracks_of_another_inference_process_are_other_tracks() -> None:
    rule = site({})
    assert met(rule, seen(face(1)), seen(face(1), at_s=1, epoch=8)) == [(1, 0.0), (1, 1.0)]


@pytest.mark.parametrize(
    ("hours", "holds", "not_then"),
    [
        (("08:00", "17:30"), ["08:00", "17:29"], ["07:59", "17:30", "23:00"]),
        (("22:00", "06:00"), ["22:00", "23:59", "00:00", "05:59"], ["06:00", "21:59"]),
        ((None, "06:00"), ["00:00", "05:59"], ["06:00", "23:59"]),
        (("22:00", None), ["22:00", "23:59"], ["00:00", "21:59"]),
        (("22:00", "00:00"), ["22:00", "23:59"], ["00:00", "21:59"]),
        ((None, None), ["00:00", "12:00", "23:59"], []),
    ],
)
def test_hours_begin_with_their_first_minute_and_end_before_their_last(
    hours: tuple[str | None, str | None], holds: list[str], not_then: list[str]
) -> None:
    for text in [*holds, *not_then]:
        assert in_force(datetime.fromisoformat(f"2026-11-21 {text}"), *hours) is (text in holds), text


def test_hours_over_midnight_belong_to_the_day_on_which_they_begin() -> None:
    friday_night = ("22:00", "06:00", ("fri",))
    assert in_force(datetime(2026, 11, 20, 23), *friday_night)
    assert in_force(datetime(2026, 11, 21, 5), *friday_night)
    assert not in_force(datetime(2026, 11, 20, 5), *friday_night), "that is Thursday's night"
    assert not in_force(datetime(2026, 11, 21, 23), *friday_night)
    weekend = (None, None, ("sat", "sun"))
    assert [in_force(datetime(2026, 11, day, 12), *weekend) for day in (20, 21, 22, 23)] == [
        False,
        True,
        True,
        False,
    ]


def test_the_hour_that_autumn_repeats_counts_twice_and_the_one_that_spring_leaves_out_never_comes() -> None:
    def minutes(year: int, month: int, day: int, *hours: str) -> int:
        """Of that UTC day, in which the hours hold in Berlin."""
        return sum(
            in_force(local_time(utc(year, month, day, 0) + minute * 60_000_000_000, BERLIN), *hours)
            for minute in range(4 * 60)
        )

    assert minutes(2026, 11, 21, "02:00", "03:00") == 60
    assert minutes(2026, 10, 25, "02:00", "03:00") == 120  # 00:00 to 02:00 UTC
    assert minutes(2026, 3, 29, "02:00", "03:00") == 0
    assert minutes(2026, 3, 29, "01:00", "04:00") == 120


def test_a_rule_asks_the_clock_of_the_place() -> None:
    rule = site({"from_time": "02:30", "to_time": "04:00", "days": ["sun"]})
    summer, winter = utc(2026, 10, 25, 0, 45), utc(2026, 10, 25, 1, 45)  # 02:45 both times
    assert met(rule, seen(face(), wall_ns=summer), zone=BERLIN)
    assert met(rule, seen(face(), wall_ns=winter), zone=BERLIN)
    assert not met(rule, seen(face(), wall_ns=winter), zone=UTC)


def test_pictures_stay_with_their_track_and_memory_is_bounded() -> None:
    watch = Watch(site({"dwell_s": 1}))
    assert not list(watch.see(seen(face(1))))
    watch.look(picture(1))
    watch.look(picture(99))
    (first,) = watch.see(seen(face(1), at_s=1))
    assert first.track.look is not None and first.track.look.track == 1
    watch.look(picture(3))  # comes just before the first frame that shows the face
    assert not list(watch.see(seen(face(3), at_s=1)))
    (third,) = watch.see(seen(face(3), at_s=2))
    assert third.track.look is not None and third.track.look.track == 3
    for n in range(4, 2000):
        list(watch.see(seen(face(n), at_s=n * 1.0)))
        watch.look(msgspec.structs.replace(picture(10_000 + n), media_ns=n * 10**9))
    assert len(watch._tracks) <= 11 and len(watch._looks) <= 11 and len(watch._spoken) <= 10_001


def test_a_track_of_another_inference_process_never_gets_the_picture_of_the_one_before() -> None:
    watch = Watch(site({}))
    watch.look(picture(5))
    assert not list(watch.see(seen(at_s=1)))
    watch.look(picture(6))
    met_before = [each.track.look for each in watch.see(seen(face(6), at_s=1))]
    assert met_before[0] is not None
    watch.look(picture(7))
    after = [each.track.look for each in watch.see(seen(face(6), face(7), at_s=2, epoch=8))]
    assert after == [None, None]


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ({"rules": [{"name": "a", "zone": "x"}]}, "the zone of rule 'a' is not defined, found 'x'"),
        ({"rules": [{"name": "a", "who": "person"}]}, "person must be given with who: person"),
        ({"rules": [{"name": "a", "send_to": ["x"]}]}, "sends to what is not defined, found 'x'"),
        (
            {"rules": [{"name": "a", "from_time": "08:00", "to_time": "08:00"}]},
            "from_time and to_time must differ",
        ),
        ({"rules": [{"name": "a", "cooldown_s": 0}]}, "greater than or equal to 1, found 0"),
        ({"web_hooks": {"secret": "tell nobody"}}, "events.web_hooks: input should be a valid tuple"),
        ({"mqtt": [{"name": "a", "host": "h", "password": 5555}]}, "events.mqtt.0.password: input should be"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_and_no_secret_is_repeated(
    events: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence) as refused:
        parse({"events": events}, "test")
    assert "tell nobody" not in str(refused.value) and "5555" not in str(refused.value)


def test_times_of_day_may_be_written_without_quotes(tmp_path: Any) -> None:
    from stream.config import load

    site_yaml = tmp_path / "site.yaml"
    site_yaml.write_text("events: {rules: [{name: night, from_time: 22:30, to_time: 6:05}]}\n")
    (rule,) = load(site_yaml).events.rules
    assert (rule.from_time, rule.to_time) == ("22:30", "06:05")
