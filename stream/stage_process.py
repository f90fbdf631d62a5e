"""The process of one stage, as the supervisor holds it: what it is told, and what is left to do when it has ended."""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class StageProcess:
    """A stage, its job, and the process that does it while there is one."""

    name: str
    job: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    start_at_s: float = 0.0
    deaths: int = 0  # in a row
    restarts: int = 0
    finished: bool = False
    leaves_by_s: float | None = None  # told to end; killed when it has not by then
    next_job: dict[str, Any] | None = None  # begun when it has left
    fault: str = ""  # why it cannot work, in its own words
    reader: threading.Thread | None = field(default=None, repr=False)


def tell(stage: StageProcess, line: str) -> None:
    """Send one line; it is lost when the process has just died."""
    if stage.process is None or stage.process.stdin is None:
        return
    with suppress(BrokenPipeError, ValueError):  # it has just died: `watch` sees to it
        stage.process.stdin.write(line.encode() + b"\n")
        stage.process.stdin.flush()


def let_go(stage: StageProcess) -> None:
    """Of a process that has ended: hear its last words, and close the pipes."""
    if stage.reader:
        stage.reader.join(1.0)
    for pipe in (stage.process.stdin, stage.process.stdout) if stage.process else ():
        if pipe:
            with suppress(OSError):
                pipe.close()


def environment() -> dict[str, str]:
    """Thread pools that wait politely: stages share the cores, and spinning threads starve the others."""
    calm = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return {**os.environ, **calm, "PYTHONUNBUFFERED": "1"}
