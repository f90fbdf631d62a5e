"""Compiled engines on disk: what is not whole, or not for this machine, is refused with the reason and made anew."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.backends import Engine, open_engine
from engines.cache import EngineKey, Refused, differences, leftovers, load, read, save, watching
from engines.models import Model, prepare

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path.home() / ".cache" / "unvizard" / "engines"
KEY = EngineKey("rnet", "ab" * 32, "tensorrt 10.9", "NVIDIA L4 sm89", "fp16", "1/4/16")
CONTENT = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def rnet() -> Model:
    return prepare(CACHE, ["rnet"])["rnet"]


def _opened(rnet: Model, folder: Path) -> Engine:
    engine = open_engine(rnet, "openvino", cache=folder)
    assert engine(np.zeros((1, 3, 24, 24), np.float32))[0].shape == (1, 4)
    return engine


def test_a_file_says_what_it_was_made_for_in_words_that_people_can_read(tmp_path: Path) -> None:
    save(tmp_path, KEY, CONTENT)
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("rnet-tensorrt-10.9-") and path.suffix == ".engine"
    first, said = path.read_bytes().split(b"\n")[:2]
    assert first.startswith(b"unvizard engine 1 ") and len(first) == len("unvizard engine 1 ") + 64
    for words in ("rnet", "ab" * 32, "tensorrt 10.9", "NVIDIA L4 sm89", "fp16", "1/4/16"):
        assert words in said.decode()
    assert load(tmp_path, KEY) == CONTENT
    assert path.stat().st_mode & 0o077 == 0


def _flipped(data: bytes) -> bytes:
    return data[:-900] + bytes([data[-900] ^ 1]) + data[-899:]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: data[:-1000], "truncated: 9240 of 10240 bytes"),
        (lambda data: data[:100], "damaged: what it was made for cannot be read"),
        (lambda data: b"", "truncated: empty"),
        (_flipped, "damaged or changed: its content does not have the sha256 written in it"),
        (
            lambda data: data.replace(b"fp16", b"fp32"),
            "damaged or changed: its content does not have the sha256",
        ),
        (lambda data: b"\x89ONNX" + data, "not an engine of this version's format"),
    ],
    ids=["truncated", "header cut", "emptied", "one bit flipped", "header changed", "foreign"],
)
def test_a_damaged_file_is_refused_with_the_reason(
    tmp_path: Path, damage: Callable[[bytes], bytes], reason: str
) -> None:
    save(tmp_path, KEY, CONTENT)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    with watching() as dealings:
        assert load(tmp_path, KEY) is None
    (note,) = dealings.notes
    assert note.startswith(f"rnet: the engine in the cache was not used ({reason}")
    assert note.endswith("), and was compiled anew")
    save(tmp_path, KEY, CONTENT)
    assert load(tmp_path, KEY) == CONTENT
    assert read(path)[0].instead_of.startswith(reason)


def test_a_file_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    save(tmp_path, KEY, CONTENT)
    (path,) = tmp_path.iterdir()
    path.chmod(0o666)
    with pytest.raises(Refused) as refused:
        read(path)
    assert str(refused.value) == "others may write to it (mode 666)"
    if os.geteuid() == 0:
        path.chmod(0o600)
        os.chown(path, 65534, 65534)
        with pytest.raises(Refused) as refused:
            read(path)
        assert str(refused.value) == "it belongs to another user (uid 65534)"


def test_an_engine_for_another_gpu_under_this_name_is_refused(tmp_path: Path) -> None:
    other = replace(KEY, device="NVIDIA A2 sm86")
    save(tmp_path, other, CONTENT)
    (tmp_path / other.filename).rename(tmp_path / KEY.filename)
    with watching() as dealings:
        assert load(tmp_path, KEY) is None
    assert dealings.notes == [
        "rnet: the engine in the cache was not used (made for NVIDIA A2 sm86, here is NVIDIA L4 sm89), "
        "and was compiled anew"
    ]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (replace(KEY, device="NVIDIA A2 sm86"), "made for NVIDIA A2 sm86, here is NVIDIA L4 sm89"),
        (replace(KEY, runtime="tensorrt 10.3"), "made by tensorrt 10.3, here is tensorrt 10.9"),
    ],
    ids=["another GPU", "another version"],
)
def test_a_cache_that_moved_or_aged_is_told_of_and_kept_for_who_made_it(
    tmp_path: Path, other: EngineKey, reason: str
) -> None:
    save(tmp_path, other, b"other")
    assert load(tmp_path, KEY) is None
    with watching() as dealings:
        save(tmp_path, KEY, CONTENT)
    assert dealings.notes == [f"rnet: the engine in the cache was not used ({reason}), and was compiled anew"]
    assert dealings.compiled
    assert (load(tmp_path, KEY), load(tmp_path, other)) == (CONTENT, b"other")


def test_differences_are_named_one_by_one() -> None:
    other = EngineKey("onet", "cd" * 32, "openvino 2025.1", "AMD EPYC", "fp32", "dynamic")
    assert differences(other, KEY) == (
        "made of the network onet; made of other weights; made by openvino 2025.1, here is tensorrt 10.9; "
        "made for AMD EPYC, here is NVIDIA L4 sm89; made in fp32, here is fp16; "
        "made for the shapes dynamic, here is 1/4/16"
    )
    assert differences(KEY, KEY) == ""


def test_the_reason_reaches_the_report_also_of_the_process_that_starts_next(
    rnet: Model, tmp_path: Path
) -> None:
    assert _opened(rnet, tmp_path).info.notes == ()
    (path,) = tmp_path.glob("*.engine")
    path.write_bytes(path.read_bytes()[:-5000])
    mended = _opened(rnet, tmp_path).info.notes
    assert len(mended) == 1 and mended[0].startswith(
        "rnet: the engine in the cache was not used (truncated: "
    )
    assert _opened(rnet, tmp_path).info.notes == mended  # the stage, after the command line has made it anew


def test_a_disk_that_cannot_be_written_is_a_note_and_the_engine_runs(rnet: Model, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where the folder should be")
    notes = _opened(rnet, blocked).info.notes
    assert notes[-1].startswith(
        "rnet: what was compiled cannot be kept, and will be compiled at each start: "
    )
    assert blocked.read_text() == "a file where the folder should be"


def test_what_a_killed_process_left_half_written_is_found(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from engines import cache\n"
        "cache.os.replace = lambda a, b: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"cache.write_atomically(Path({str(tmp_path)!r}) / 'rnet.engine', b'half')"
    )
    done = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    assert done.wait(30) == -9
    (half,) = tmp_path.iterdir()
    assert leftovers(tmp_path) == [half] == leftovers(tmp_path, done.pid)
    assert leftovers(tmp_path, os.getpid()) == []
