"""`unvizard footage` over recordings with real faces in them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from engines.masks.state import MaskState
from stream.archive.archive import Archive
from stream.archive.incidents import Event
from stream.archive.sightings import Sighting
from stream.config import Settings
from stream.messages import Candidate
from tools.footage.command import footage
from tools.footage.likeness import MeasuredFace, measure_face
from tools.footage.local_times import TimeError, parse_time, show_span, show_time

PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"
OBAMA, AGAIN, BIDEN = (PICTURES / name for name in ("obama.jpg", "obama3.jpg", "biden.jpg"))
BERLIN = ZoneInfo("Europe/Berlin")
NOON_NS = 1_795_258_800_000_000_000  # 2026-11-21 12:00 in Berlin, 11:00 UTC
SECOND = 1_000_000_000
HOUR = 3600 * SECOND
Command = Callable[..., Result]


@pytest.fixture(scope="module", autouse=True)
def in_berlin() -> Iterator[None]:
    """Where daylight saving is."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
    time.tzset()


@pytest.fixture(scope="module")
def faces() -> dict[str, MeasuredFace]:
    return {path.stem: measure_face(path, Settings()) for path in (OBAMA, BIDEN)}


@pytest.fixture
def folder(tmp_path: Path, faces: dict[str, MeasuredFace]) -> Path:
    """Recordings of two cameras: Obama at noon, a masked unknown and Biden later, and a gap."""
    path = tmp_path / "recordings"
    with Archive.open(path, write=True, actor="recorder") as archive:
        run = archive.begin_run(NOON_NS, "0.1", {}, {})
        for number, (camera, began, length) in enumerate(
            [("gate", 0, 60), ("gate", 60, 60), ("gate", 3600, 30), ("yard", 0, 60)]
        ):
            began_ns = NOON_NS + began * SECOND
            segment = archive.begin_segment(
                camera=camera,
                run=run,
                connection=1,
                path=f"{camera}/{number}.mp4",
                codec="h264",
                width=1280,
                height=720,
                began_ns=began_ns,
                began_media_ns=0,
                reason="continuous",
                clock="here",
            )
            ended = began_ns + length * SECOND
            archive.grow_segment(segment, ended, length * SECOND, 2_000_000, length * 25, [(0, began_ns)])
            archive.finish_segment(segment, True)
        jpeg = OBAMA.read_bytes()
        for track, person, decision, mask, at, camera in (
            (1, "Barack Obama", "person", MaskState.NONE, 0, "gate"),
            (2, None, "nobody", MaskState.WORN, 1800, "yard"),
            (3, "Joe Biden", "person", MaskState.WORN_WRONGLY, 3600, "gate"),
        ):
            face = faces["obama" if track == 1 else "biden"]
            archive.put_sighting(
                Sighting(
                    camera=camera,
                    run=run,
                    epoch=77,
                    track=track,
                    decision=decision,
                    person=person,
                    mask=mask,
                    first_ns=NOON_NS + at * SECOND,
                    last_ns=NOON_NS + (at + 9) * SECOND,
                    first_media_ns=0,
                    last_media_ns=9 * SECOND,
                    probability=0.9996 if person else 0.95,
                    candidates=(Candidate("Barack Obama", 0.5, {"raw": 0.71, "unmasked": 0.6}),),
                    versions={"gallery": 4},
                    space=face.space,
                    embedding=face.embedding.tobytes(),
                    look=jpeg,
                    reconstruction=b"\x89PNG marked" if mask is not MaskState.NONE else b"",
                )
            )
        document = _document("r", "gate", 1, "Barack Obama came")
        row = archive.put_event(
            Event(rule="r", camera="gate", run=run, at_ns=NOON_NS, data=document, people=("Barack Obama",)),
            ("hook", "house"),
        )
        (hook, house) = archive.deliveries(row)
        archive.delivered(hook.id, NOON_NS + SECOND)
        archive.put_off(house.id, NOON_NS + 2 * SECOND, "no connection")
    return path


def _document(rule: str, camera: str, track: int, text: str) -> bytes:
    sighting = {
        "track": track,
        "epoch": "77",
        "first_seen": "",
        "last_seen": "",
        "decision": "person",
        "candidates": [],
        "person": "Barack Obama",
        "probability": 0.97,
        "mask": None,
        "mask_probability": 0.0,
        "masked": False,
        "foot": [0.5, 0.5],
    }
    versions = {"unvizard": "0.1", "gallery": 4, "generator": "", "engines": {}}
    return json.dumps(
        {"version": 1, "id": "abc", "rule": rule, "camera": camera, "time": "", "text": text}
        | {"sighting": sighting, "versions": versions}
    ).encode()


@pytest.fixture
def command(folder: Path) -> Command:
    def run(*words: str) -> Result:
        return CliRunner(env={"COLUMNS": "200"}).invoke(footage, [*words, "--folder", str(folder)])

    return run


def test_cameras_are_listed_with_times_and_gaps(command: Command) -> None:
    lines = command("cameras").stdout.splitlines()
    assert lines[0] == (
        "gate: 2026-11-21 12:00:00 CET to 2026-11-21 13:00:30 CET, 2 min 30 s recorded in 3 segments, 6.0 MB"
    )
    assert "  gap: 2026-11-21 12:02:00 CET to 2026-11-21 13:00:00 CET (58 min)" in lines
    assert next(line for line in lines if line.startswith("yard")).endswith("recorded in 1 segment, 2.0 MB")
    assert command("cameras", "--camera", "yard").stdout.count("recorded in") == 1


def test_the_timeline_has_a_bar_for_each_hour_with_somebody(command: Command) -> None:
    shown = command("timeline", "--from", "2026-11-21 09:30", "--to", "2026-11-21 14:00")
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("2026-11-21 09:00:00 CET to 2026-11-21 14:00:00 CET")
    gate = lines[lines.index("gate: 2 sightings, 1 with a mask") :]
    assert gate[1] == "  · 3 hours without anybody"
    assert gate[2] == f"  2026-11-21 12:00:00 CET  {'█' * 40} 1"
    assert gate[3] == f"  2026-11-21 13:00:00 CET  {'█' * 40} 1"
    assert f"  2026-11-21 12:00:00 CET  {'▒' * 40} 1" in lines
    nobody = command("timeline", "--from", "2026-11-20", "--to", "2026-11-21")
    assert nobody.stdout.splitlines()[-1] == "nobody was seen"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), [3, 2, 1]),
        (("--person", "barack obama"), [1]),
        (("--unknown",), [2]),
        (("--mask", "worn"), [2]),
        (("--mask", "worn", "--mask", "worn_wrongly"), [3, 2]),
        (("--camera", "gate"), [3, 1]),
        (("--from", "2026-11-21 12:15", "--to", "2026-11-21T12:45:00+01:00"), [2]),
        (("--from", "2026-11-21T11:45Z"), [3]),
        (("--limit", "1"), [3]),
        (("--person", "Nobody Known"), []),
    ],
)
def test_sightings_are_found_by_who_where_when_and_mask(
    command: Command, words: tuple[str, ...], found: list[int]
) -> None:
    shown = command("sightings", *words, "--json")
    assert shown.exit_code == 0
    assert [each["id"] for each in json.loads(shown.stdout)] == found


def test_a_sighting_is_a_line_that_says_how_sure_and_how_reliable_it_is(command: Command) -> None:
    lines = command("sightings").stdout.splitlines()
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if "2026" in line]
    assert rows[2] == ["1", "2026-11-21 12:00:00 CET", "9 s", "gate", "Barack Obama (99.9 %)", "none", ""]
    assert rows[0][4:6] == ["Joe Biden (99.9 %)", "worn wrongly, reduced reliability"]
    assert rows[1][4:6] == ["nobody enrolled (95.0 %)", "worn, reduced reliability"]
    assert command("sightings", "--limit", "2").stdout.rstrip().endswith("ask for more with --limit")


def test_who_looks_like_a_picture_is_told_as_a_likeness_and_never_as_an_identification(
    command: Command,
) -> None:
    shown = command("like", str(AGAIN))
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in shown.stdout.splitlines()
        if "2026" in line
    ]
    assert rows[0][0] == "1" and float(rows[0][1]) > 0.5 > float(rows[1][1])
    assert float(rows[0][2].removesuffix(" %")) > 90 > 10 > float(rows[1][2].removesuffix(" %"))
    assert "A likeness is no identification." in shown.stdout and "50.0 % probable" in shown.stdout
    assert [row[0] for row in rows if row[4] == "gate"] == ["1", "3"]
    at_yard = command("like", str(BIDEN), "--camera", "yard", "--limit", "1")
    assert at_yard.stdout.count("2026") == 1
    log = command("log", "--verify").stdout
    assert log.count("searched  (by a face") == 2 and "cameras yard" in log


@pytest.mark.parametrize("kind", ["no face", "no picture", "missing"])
def test_a_picture_that_cannot_be_searched_by_is_refused(command: Command, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "picture.png"
    if kind == "no face":
        Image.new("RGB", (300, 200), "grey").save(path)
    elif kind == "no picture":
        path.write_text("words")
    shown = command("like", str(path))
    reason = {
        "no face": "no face was found",
        "no picture": "is not an image",
        "missing": "there is no such file",
    }
    assert shown.exit_code == 1 and f"{path}: {reason[kind]}" in shown.stderr


def test_a_sighting_is_shown_with_its_pictures_evidence_and_events(command: Command, tmp_path: Path) -> None:
    shown = command("show", "3", "--out", str(tmp_path / "out"))
    assert "sighting 3: Joe Biden (99.9 %), camera gate" in shown.stdout
    assert "candidate: Barack Obama, 50.0 % (similarity: raw 0.710, unmasked 0.600)" in shown.stdout
    look, reconstruction = (
        tmp_path / "out" / f"sighting-3-{name}" for name in ("look.jpg", "reconstruction.png")
    )
    assert look.read_bytes() == OBAMA.read_bytes() and look.stat().st_mode & 0o077 == 0
    assert reconstruction.read_bytes() == b"\x89PNG marked"
    look.write_bytes(b"something of mine")
    again = command("show", "3", "--out", str(tmp_path / "out"))
    assert again.exit_code == 1 and "nothing was overwritten" in again.stderr
    assert look.read_bytes() == b"something of mine"
    assert "event 1: Barack Obama came" in command("show", "1").stdout
    assert "pictures: sighting-1-look.jpg (see them with --out DIR)" in command("show", "1").stdout
    assert command("log").stdout.count("viewed") == 4


def test_events_and_deliveries_are_told_with_what_waits_and_why(command: Command) -> None:
    assert command("events").stdout == "1  Barack Obama came\n"
    assert json.loads(command("events", "--json", "--rule", "r").stdout)[0]["id"] == "abc"
    assert command("events", "--rule", "s").stdout == "no event\n"
    assert "Event" in json.loads(command("events", "--schema").stdout)["$defs"]
    assert command("deliveries").stdout.splitlines() == [
        "hook: 1 delivered, 0 waiting, 0 given up",
        "house: 0 delivered, 1 waiting, 0 given up",
        "  event 1: waits after 1 try, next at 2026-11-21 12:00:02 CET: no connection",
    ]
    assert "  event 1: delivered 2026-11-21 12:00:01 CET after 1 try" in command("deliveries", "--all").stdout


def test_an_event_of_a_newer_release_is_named_as_one(command: Command, folder: Path) -> None:
    with Archive.open(folder, write=True) as archive:
        document = b'{"version": 9, "id": "of tomorrow"}'
        archive.put_event(Event(rule="r", camera="yard", run=1, at_ns=NOON_NS + HOUR, data=document))
    first = command("events").stdout.splitlines()[0]
    assert first == "2  (of a newer release), at camera yard, 2026-11-21 13:00:00 CET"


def test_what_is_protected_is_listed_and_let_go_again(command: Command) -> None:
    stretch = ("--from", "2026-11-21 12:00", "--to", "2026-11-21 12:01", "--camera", "yard")
    assert command("protect").stdout == "nothing is protected\n"
    assert command("protect", "--sighting", "1").stdout == "protected: sighting 1\n"
    assert command("protect", "--segment", "3").exit_code == 0
    assert command("protect", *stretch).exit_code == 0
    assert command("protect").stdout.splitlines() == [
        "sighting 1: 2026-11-21 12:00:00 CET to 2026-11-21 12:00:09 CET, gate",
        "segment 3: 2026-11-21 13:00:00 CET to 2026-11-21 13:00:30 CET, gate",
        "span: 2026-11-21 12:00:00 CET to 2026-11-21 12:01:00 CET, yard",
    ]
    assert "│ protected" in command("sightings", "--person", "Barack Obama").stdout
    assert command("unprotect", *stretch).exit_code == 0
    assert command("unprotect", "--segment", "3").stdout == "no longer protected: segment 3\n"
    again = command("unprotect", "--segment", "3")
    assert again.exit_code == 1 and "segment 3: was not protected" in again.stderr
    assert command("protect").stdout.count("\n") == 1


def test_an_erased_person_is_found_nowhere_and_the_receipt_proves_it(command: Command, folder: Path) -> None:
    erased = command("erase-person", "barack obama").stdout.splitlines()
    assert erased[0] == "erased barack obama: from 3 sightings, 0 frames and 1 event"
    assert json.loads(command("sightings", "--person", "Barack Obama", "--json").stdout) == []
    assert command("events").stdout.endswith(
        "(somebody in it was erased), at camera gate, 2026-11-21 12:00:00 CET\n"
    )
    assert "0 waiting" in command("deliveries").stdout.splitlines()[0]
    checked = command("log", "--receipt", erased[-1].split()[-1])
    assert checked.exit_code == 0 and checked.stdout.endswith("lines, unaltered\n")
    assert "Obama" not in checked.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("sightings", "--from", "next week"),
            "--from: 'next week': is no time that can be read; write it as",
        ),
        (("sightings", "--from", "-1h", "--to", "-2h"), "--to: must come after --from, found 20"),
        (
            ("sightings", "--camera", "gaet"),
            "--camera: 'gaet' is not in these recordings; did you mean gate?",
        ),
        (("cameras", "--camera", "cellar"), "is not in these recordings; there are gate, yard"),
        (("sightings", "--unknown", "--person", "x"), "--unknown: means nobody enrolled"),
        (("sightings", "--person", "\u202ex"), "name: must not hold invisible"),
        (("show", "99"), "sighting 99: is not in the archive"),
        (("timeline", "--from", "2020-01-01"), "--from: must lie at most 10000 hours before --to"),
        (("protect", "--from", "-1h"), "a span needs both --from and --to"),
        (
            ("protect", "--sighting", "1", "--segment", "1"),
            "name one thing: --sighting, --segment, or --from",
        ),
        (("log", "--receipt", "zz"), "--receipt: must be the hexadecimal mark that a receipt shows"),
        (("log", "--receipt", "00" * 32), "the receipt's line is missing"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(command: Command, words: tuple[str, ...], sentence: str) -> None:
    shown = command(*words)
    assert shown.exit_code == 1 and sentence in shown.stderr
    assert len(shown.stderr.splitlines()) == 1


def test_a_missing_key_or_archive_is_one_sentence(command: Command, folder: Path, tmp_path: Path) -> None:
    (folder / "archive.key").rename(folder / "elsewhere.key")
    shown = command("sightings")
    assert shown.exit_code == 1 and "the archive's key is missing" in shown.stderr
    nothing = CliRunner().invoke(footage, ["cameras", "--folder", str(tmp_path / "nowhere")])
    assert nothing.exit_code == 1 and "there is no archive here" in nothing.stderr
    assert not (tmp_path / "nowhere").exists()
    site = tmp_path / "site.yaml"
    site.write_text(f"recording: {{folder: {tmp_path / 'elsewhere'}}}\n")
    by_settings = CliRunner().invoke(footage, ["cameras", "--config", str(site)])
    assert str(tmp_path / "elsewhere") in by_settings.stderr


def test_times_that_the_clocks_show_twice_or_never_are_stated(command: Command) -> None:
    twice = command("sightings", "--from", "2026-10-25 02:30", "--to", "2026-10-25 02:30")
    assert twice.exit_code == 0 and json.dumps(twice.stderr).count("comes twice here") == 2
    assert "the first is taken, 2026-10-25 02:30:00 CEST" in twice.stderr
    assert "the second is taken, 2026-10-25 02:30:00 CET" in twice.stderr
    never = command("sightings", "--from", "2026-03-29 02:30")
    assert "does not exist here, because daylight saving begins; 2026-03-29 03:30:00 CEST" in never.stderr


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", "2026-11-21 14:00:05 CET"),
        ("-2h", "2026-11-21 12:00:05 CET"),
        ("-1d12h", "2026-11-20 02:00:05 CET"),
        ("-90m", "2026-11-21 12:30:05 CET"),
        ("-30d", "2026-10-22 15:00:05 CEST"),
        ("today 13:00", "2026-11-21 13:00:00 CET"),
        ("Yesterday", "2026-11-20 00:00:00 CET"),
        ("yesterday 23:59:59", "2026-11-20 23:59:59 CET"),
        ("2026-11-21 14:00", "2026-11-21 14:00:00 CET"),
        ("2026-07-01T14:00:00Z", "2026-07-01 16:00:00 CEST"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25 02:30:00 CET"),
    ],
)
def test_times_are_read_as_people_write_them(text: str, meant: str) -> None:
    now = parse_time("2026-11-21T13:00:05.6Z", datetime.now(UTC), zone=BERLIN)
    moment = parse_time(text, datetime.fromtimestamp(now.wall_ns / 1e9, BERLIN), zone=BERLIN)
    assert show_time(moment.wall_ns, BERLIN) == meant and moment.note == ""


@pytest.mark.parametrize(
    "text", ["", "-", "-2x", "-h", "soon", "2026-13-01", "today 25:00", "--1h", "9999999999"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(TimeError, match="is no time that can be read"):
        parse_time(text, datetime.now(UTC))


def test_lengths_are_told_in_two_units() -> None:
    lengths = [0, 0.4, 59, 60, 3599, 3600, 90061, 86400 * 40 + 1]
    assert [show_span(length) for length in lengths] == [
        "0 s",
        "0 s",
        "59 s",
        "1 min",
        "59 min 59 s",
        "1 h",
        "1 d 1 h",
        "40 d 1 s",
    ]
