"""The directory of a run, and what killed runs leave behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from stream.run_directory import RunDirectory, remove_stale

HOLD = """
import sys
from pathlib import Path
from stream.run_directory import RunDirectory
with RunDirectory(Path(sys.argv[1])) as directory:
    print(directory, flush=True)
    sys.stdin.read()
"""


def test_a_run_directory_is_private_and_goes_with_the_run(tmp_path: Path) -> None:
    with RunDirectory(tmp_path) as directory:
        assert directory.stat().st_mode & 0o777 == 0o700
        (directory / "ring").write_bytes(b"pixels")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed_and_a_living_run_is_let_be(tmp_path: Path) -> None:
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        killed, living = (Path(holder.stdout.readline().strip()) for holder in holders if holder.stdout)
        assert remove_stale(tmp_path) == []
        holders[0].send_signal(signal.SIGKILL)
        holders[0].wait()
        assert remove_stale(tmp_path) == [killed]
        assert living.is_dir()
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()
