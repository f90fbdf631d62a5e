"""`unvizard verify` and `unvizard footage bundle` as people run them, on a machine that has nothing but the file."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

sys.path.append(str(Path(__file__).parents[1] / "stream"))
from evidence_helpers import fill, make_clip

from engines.signing import SigningKey
from engines.unmasking.claim import Signer
from engines.unmasking.mark import marked_png
from tools.cli import app


def unvizard(home: Path, *words: str) -> Result:
    home.mkdir(exist_ok=True)
    return CliRunner(env={"COLUMNS": "500", "HOME": str(home)}).invoke(app, words)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.open(tmp_path / "signing.key")


@pytest.fixture
def guess(tmp_path: Path, key: SigningKey) -> Path:
    grey = np.full((128, 128, 3), 128, np.uint8)
    path = tmp_path / "guess.png"
    path.write_bytes(
        marked_png(grey, np.zeros((128, 128), np.float32), None, Signer(key, "unvizard 9.9", "ab" * 32))
    )
    return path


def test_a_picture_is_told_from_an_altered_one_a_plain_one_and_what_is_none(
    tmp_path: Path, home: Path, key: SigningKey, guess: Path
) -> None:
    genuine = unvizard(home, "verify", str(guess), "--key", key.public.fingerprint)
    assert genuine.exit_code == 0, genuine.stderr
    assert f"{guess}: a reconstruction, genuine and unaltered" in genuine.stdout
    assert key.public.fingerprint in genuine.stdout

    other = SigningKey.open(tmp_path / "other.key")
    strange = unvizard(home, "verify", str(guess), "--key", str(tmp_path / "other.pub"))
    assert strange.exit_code == 1
    assert "NOT the installation that was asked for" in strange.stdout
    assert other.public.fingerprint not in strange.stdout

    jpeg = tmp_path / "guess.jpg"
    cv2.imwrite(str(jpeg), cv2.imread(str(guess)), [cv2.IMWRITE_JPEG_QUALITY, 70])
    again = unvizard(home, "verify", str(jpeg))
    assert again.exit_code == 1
    assert "marked as a reconstruction, but NOT as it was signed" in again.stdout

    plain = tmp_path / "plain.png"
    cv2.imwrite(str(plain), np.full((200, 200, 3), 90, np.uint8))
    unmarked = unvizard(home, "verify", str(plain))
    assert unmarked.exit_code == 3
    assert "no mark was found" in unmarked.stdout
    assert not list(home.iterdir()), "checking leaves nothing behind, and makes no key"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere.png"], "nowhere.png: cannot be read: No such file or directory"),
        (["."], ".: cannot be read: Is a directory"),
        (["setup.py"], "setup.py: is not an image that can be read"),
        (["setup.py", "--key", "mine"], "key: must be a fingerprint of 32 hexadecimal digits"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(home: Path, words: list[str], sentence: str) -> None:
    done = unvizard(home, "verify", *words)
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bundle_is_made_and_checked_by_the_commands(tmp_path: Path, home: Path, key: SigningKey) -> None:
    sighting = fill(tmp_path / "recordings", make_clip(), key)
    site = tmp_path / "site.yaml"
    site.write_text(
        yaml.safe_dump(
            {
                "recording": {"folder": str(tmp_path / "recordings")},
                "signing": {"key": str(tmp_path / "signing.key")},
            }
        )
    )
    out = tmp_path / "out.zip"
    words = ("footage", "bundle", str(sighting), str(out), "--config", str(site))
    without = unvizard(home, *words)
    assert without.exit_code == 2
    assert "--reason" in without.stderr
    made = unvizard(home, *words, "--reason", "request 2026-118", "--by", "J. Doe")
    assert made.exit_code == 0, made.stderr
    assert key.public.fingerprint in made.stdout
    again = unvizard(home, *words, "--reason", "request 2026-118")
    assert again.exit_code == 1
    assert "is there already; evidence is not written over" in again.stderr

    away = tmp_path / "elsewhere"
    checked = unvizard(away, "verify", str(out), "--key", str(tmp_path / "signing.pub"))
    assert checked.exit_code == 0, checked.stdout
    assert "an evidence bundle, unaltered" in checked.stdout
    assert "“J. Doe”" in checked.stdout
    assert not list(away.iterdir())

    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("note.txt", "hello")
    altered = unvizard(away, "verify", str(out))
    assert altered.exit_code == 1
    assert "“note.txt” was added" in altered.stdout
    out.write_bytes(out.read_bytes()[:-400])
    short = unvizard(away, "verify", str(out))
    assert short.exit_code == 1
    assert "cut short or damaged" in short.stdout


def test_where_strangers_are_blurred_a_bundle_has_footage_only_when_the_command_says_so(
    tmp_path: Path, home: Path, key: SigningKey
) -> None:
    sighting = fill(tmp_path / "recordings", make_clip(), key, strangers=(6,))
    site = tmp_path / "site.yaml"
    values = {
        "recording": {"folder": str(tmp_path / "recordings")},
        "signing": {"key": str(tmp_path / "signing.key")},
        "privacy": {"blur_others": True},
    }
    site.write_text(yaml.safe_dump(values))
    for chosen, footage in (([], False), (["--unblurred-footage"], True)):
        out = tmp_path / f"{footage}.zip"
        words = (
            "footage",
            "bundle",
            str(sighting),
            str(out),
            "--config",
            str(site),
            "--reason",
            "why",
            *chosen,
        )
        made = unvizard(home, *words)
        assert made.exit_code == 0, made.stderr
        assert ("the footage was left out" in made.stdout) is not footage
        with zipfile.ZipFile(out) as bundle:
            assert any(name.startswith("footage/") for name in bundle.namelist()) is footage
