"""`unvizard engines`: build, list, verify, clean; and Ctrl-C in the middle of a build."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from engines.cache import read_header as header_of
from engines.cache import save

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings whose cache has everything built."""
    folder = tmp_path_factory.mktemp("engines")
    path = folder / "site.yaml"
    path.write_text(f"engines:\n  precision: fp32\n  cache: {folder / 'cache'}\n")
    done = engines("build", "--config", str(path))
    assert done.returncode == 0, done.stderr
    assert re.search(r"^unmask: openvino \(fp32\), [\d.]+ s$", done.stdout, re.MULTILINE)
    assert re.search(r"^\d+ engines ready in ", done.stdout, re.MULTILINE)
    return path


def _environment() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "500", "CUDA_VISIBLE_DEVICES": ""}


def engines(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.cli", "engines", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env=_environment(),
    )


def _listed(site: Path) -> list[dict[str, Any]]:
    done = engines("list", "--json", "--config", str(site))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_list_says_what_each_engine_was_made_for_and_what_was_found(site: Path) -> None:
    found = _listed(site)
    assert {"pnet", "rnet", "onet", "sface", "unmask", "maskstate"} <= {entry["network"] for entry in found}
    for entry in found:
        assert entry["runtime"].startswith("openvino ") and entry["precision"] == "fp32"
        assert (entry["passed"], entry["problem"]) == (True, "")
        assert entry["bytes"] > 1000 and 0 <= time.time() - entry["made_s"] < 600
    (unmask,) = [entry for entry in found if entry["network"] == "unmask"]
    assert unmask["measures"]["PSNR"] >= 45 and unmask["measures"]["pixels changed outside the mask"] == 0
    table = engines("list", "--config", str(site)).stdout
    assert re.search(r"unmask .* openvino \S+ fp32 .* passed: PSNR .* dB", table)


def test_verify_finds_what_is_bad_clean_removes_it_and_build_makes_that_alone_anew(site: Path) -> None:
    before = {entry["file"]: entry["made_s"] for entry in _listed(site)}
    cache = site.parent / "cache"
    damaged = next(cache.glob("rnet-*.engine"))
    key = header_of(damaged).key
    whole = bytearray(damaged.read_bytes())
    whole[-1000] ^= 1
    damaged.write_bytes(bytes(whole))
    foreign = type(key)(
        key.model_name, key.model_sha256, key.runtime, "Some other CPU", key.precision, "dynamic"
    )
    save(cache, foreign, b"made elsewhere")
    half = cache / ".rnet.engine.999999999.abcdefgh"
    half.write_bytes(b"half")
    done = engines("verify", "--config", str(site))
    assert done.returncode == 1
    assert re.search(r"unmask on openvino .* in fp32: good: PSNR ", done.stdout)
    assert f"{damaged.name}: will not be used: damaged or changed: its content does not have" in done.stdout
    assert f"{foreign.filename}: will not be used: made for Some other CPU, here is " in done.stdout
    done = engines("clean", "--config", str(site))
    assert done.returncode == 0
    for name in (damaged.name, foreign.filename, half.name):
        assert f"\n{name}: " in f"\n{done.stdout}"
        assert not (cache / name).exists()
    assert "half written by a process that is gone" in done.stdout
    assert engines("build", "--config", str(site)).returncode == 0
    after = {entry["file"]: entry["made_s"] for entry in _listed(site)}
    assert after.keys() == before.keys()
    assert {file for file in after if after[file] != before[file]} == {str(damaged)}


def test_ctrl_c_in_a_build_leaves_what_is_ready_and_nothing_half_made(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(f"engines:\n  cache: {tmp_path / 'cache'}\n")
    command = [sys.executable, "-m", "tools.cli", "engines", "build", "--config", str(site)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment()
    ) as building:
        assert building.stdout is not None and building.stderr is not None
        first = building.stdout.readline()
        building.send_signal(signal.SIGINT)
        assert building.wait(PATIENCE_S) == 130
        said = building.stderr.read()
    assert first.startswith("pnet: openvino (fp32), ")
    ready = re.search(r"cancelled: (\d+) engines? (?:is|are) ready and kept, nothing half made is left", said)
    assert ready and 1 <= int(ready[1]) < 6
    assert [path.name for path in (tmp_path / "cache").glob(".*")] == [".lock"]
    assert not any(entry["problem"] for entry in _listed(site))
    assert not _children_of(building.pid)


def _children_of(process: int) -> list[str]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text().rsplit(")", 1)[1].split()[1]) == process:
                found.append(status.parent.name)
        except OSError:
            continue
    return found


def test_an_empty_cache_says_what_to_do(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(f"engines:\n  cache: {tmp_path / 'cache'}\n")
    sentence = f"no engine is compiled in {tmp_path / 'cache'}; run: unvizard engines build\n"
    for command in ("list", "verify"):
        done = engines(command, "--config", str(site))
        assert (done.returncode, done.stdout) == (0, sentence)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--backend", "caffe"], "command line: engines.backend: input should be 'auto', 'openvino',"),
        (["--precision", "int3"], "command line: engines.precision: input should be "),
        (["--size", "big"], "--size: must be WIDTHxHEIGHT in pixels, such as 1920x1080, found 'big'"),
    ],
)
def test_bad_options_end_the_command_with_one_sentence(words: list[str], sentence: str) -> None:
    done = engines("build", *words)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_a_backend_that_cannot_run_here_is_told_in_a_sentence(site: Path) -> None:
    done = engines("build", "--backend", "onnxruntime", "--precision", "bf16", "--config", str(site))
    assert done.returncode == 1
    assert "onnxruntime: pnet runs in fp32 only, found bf16; choose fp32" in done.stderr
    assert "Traceback" not in done.stderr
