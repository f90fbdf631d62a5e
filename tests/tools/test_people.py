"""`unvizard people` from the command line, with the real networks and real photographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from engines.masks.synthesis import draw_mask
from engines.recognition.gallery import Gallery
from tools.people import people

PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"
OBAMA, AGAIN, BIDEN = (str(PICTURES / name) for name in ("obama.jpg", "obama3.jpg", "biden.jpg"))
Command = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Runs `people …` on a gallery of the test's own."""

    def run(*words: str) -> Result:
        return CliRunner(env={"COLUMNS": "200"}).invoke(
            people, [*words, "--gallery", str(tmp_path / "g" / "people.sqlite3")]
        )

    return run


def test_a_person_is_enrolled_listed_and_removed(command: Command) -> None:
    added = command("add", "Barack Obama", OBAMA, AGAIN, "--ground", "consent")
    assert added.exit_code == 0
    assert added.stdout.splitlines() == [
        f"{OBAMA}: enrolled as Barack Obama (picture 1)",
        f"{AGAIN}: enrolled as Barack Obama (picture 2)",
    ]
    row = next(line for line in command("list").stdout.splitlines() if "Barack" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")][:2] == [
        "Barack Obama",
        "2",
    ] and "consent" in row
    removed = command("remove", "barack obama")
    assert removed.exit_code == 0
    first, second, third = removed.stdout.splitlines()
    assert first == "removed Barack Obama: 2 pictures erased" and second.startswith("receipt: person ")
    assert third.startswith("the person's key was destroyed: copies of the gallery that were sealed with it")
    assert command("list").stdout == "nobody is enrolled\n"
    log = command("log", "--receipt", second.split()[-1])
    assert log.exit_code == 0 and log.stdout.endswith("3 lines, unaltered\n") and "Obama" not in log.stdout


def test_each_photograph_gets_its_line_and_one_refusal_makes_the_command_fail(
    command: Command, tmp_path: Path
) -> None:
    two = np.asarray(Image.open(OBAMA).convert("RGB").resize((300, 375)))
    Image.fromarray(np.hstack([two, two])).save(tmp_path / "two.png")
    (tmp_path / "letter.jpg").write_text("Dear Sir or Madam")
    photos = [
        OBAMA,
        str(tmp_path / "two.png"),
        str(tmp_path / "letter.jpg"),
        str(tmp_path / "missing.jpg"),
        OBAMA,
        BIDEN,
    ]
    result = command("add", "Barack Obama", *photos, "--ground", "consent")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [f"{OBAMA}: enrolled as Barack Obama (picture 1)"]
    reasons = result.stderr.strip().splitlines()
    expected = [
        "two faces were found: enrolment needs a photograph of one person alone",
        "is not an image that can be read (",
        "there is no such file",
        "the very same photograph is already enrolled as Barack Obama",
        "shows someone else than the pictures of Barack Obama that are enrolled",
    ]
    assert len(reasons) == len(expected)
    for line, photo, reason in zip(reasons, photos[1:], expected, strict=True):
        assert line.startswith(f"{photo}: refused: {reason}")


def test_a_person_under_another_name_is_refused_unless_it_is_a_twin(command: Command) -> None:
    command("add", "Barack Obama", OBAMA, "--ground", "consent")
    refused = command("add", "Mallory", AGAIN, "--ground", "consent")
    assert (
        refused.exit_code == 1
        and "this person is already enrolled as Barack Obama (similarity 0." in refused.stderr
    )
    twin = command("add", "A Twin", AGAIN, "--ground", "consent", "--although-like", "barack obama")
    assert twin.exit_code == 0 and len(command("list").stdout.splitlines()) == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("add", "X", OBAMA, "--ground", " "), 'ground: must be stated, such as "consent"; found none'),
        (
            ("add", "\u202egnp", OBAMA, "--ground", "consent"),
            "name: must not hold invisible or direction-changing characters",
        ),
        (("remove", "Nobody"), "Nobody: nobody of this name is enrolled"),
        (("log", "--receipt", "zz"), "receipt: must be the hexadecimal mark that a receipt shows"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(command: Command, words: tuple[str, ...], message: str) -> None:
    result = command(*words)
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr.startswith(message) and len(result.stderr.splitlines()) == 1


def test_enrolment_asks_for_the_ground(command: Command) -> None:
    result = command("add", "X", OBAMA)
    assert result.exit_code == 2 and "--ground" in result.stderr


def test_a_damaged_gallery_is_one_sentence_and_left_alone(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "g" / "people.sqlite3"
    file.parent.mkdir()
    file.write_bytes(b"no gallery at all, but somebody's letters" * 100)
    before = file.read_bytes()
    for words in (("list",), ("add", "X", OBAMA, "--ground", "consent"), ("remove", "X")):
        result = command(*words)
        assert result.exit_code == 1 and "is damaged or not a gallery" in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert file.read_bytes() == before


def test_the_gallery_of_the_settings_is_used_and_a_wrong_setting_is_named(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(f"recognition: {{gallery: {tmp_path}/mine.sqlite3}}\n")
    bad.write_text("recognition: {galery: x}\n")
    assert CliRunner().invoke(people, ["list", "--config", str(good)]).stdout == "nobody is enrolled\n"
    with Gallery(tmp_path / "mine.sqlite3") as gallery:
        assert gallery.people() == ()
    result = CliRunner().invoke(people, ["list", "--config", str(bad)])
    assert result.exit_code == 1 and "did you mean gallery?" in result.stderr


def test_a_masked_face_is_refused_by_the_shipped_classifier(command: Command, tmp_path: Path) -> None:
    picture = np.asarray(Image.open(OBAMA).convert("RGB"))
    landmarks = np.array([[444, 214], [551, 212], [496, 279], [435, 320], [557, 318]], np.float32)
    masked, _ = draw_mask(picture, landmarks, np.random.default_rng(0), kind="surgical")
    Image.fromarray(masked).save(tmp_path / "masked.png")
    result = command("add", "X", str(tmp_path / "masked.png"), "--ground", "consent")
    assert result.exit_code == 1 and "the face wears a mask" in result.stderr
