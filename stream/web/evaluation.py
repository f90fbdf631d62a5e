"""Evaluations of recognition on the installation's own faces: one at a time, and the results of those before."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from typing import Any

from stream.config import Settings
from stream.ledger import write_whole

log = logging.getLogger(__name__)

_MOST_KEPT = 100


class Busy(RuntimeError):
    """One is going on already."""


class Evaluations:
    """Threads may share it. Results are shares and counts without anybody's name or face, so erasing a person leaves
    them true and harmless; they lie beside the gallery.
    """

    def __init__(self, settings: Settings) -> None:
        gallery = settings.recognition.gallery
        self._file = gallery.with_name(gallery.name + ".evaluations.json")
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._doing, self._share, self._problem = "", 0.0, ""

    def start(self, settings: Settings) -> None:
        """Begin one in a process of its own. Raises Busy."""
        with self._lock:
            if self._process is not None:
                raise Busy("an evaluation is going on already")
            self._doing, self._share, self._problem = "Starting", 0.0, ""
            calm = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
            process = self._process = subprocess.Popen(
                [sys.executable, "-m", "stream.web.evaluating"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **calm},
                text=True,
                start_new_session=True,
            )
        threading.Thread(
            target=self._follow, args=(process, settings), name="evaluation", daemon=True
        ).start()

    def cancel(self) -> None:
        """End the one that goes on; nothing is kept of it."""
        with self._lock:
            process = self._process
        if process:
            process.kill()
            process.wait()

    close = cancel

    def state(self) -> dict[str, Any]:
        """How far the one is that goes on; why the last one failed."""
        with self._lock:
            running = self._process is not None
            return {"running": running, "doing": self._doing, "share": self._share, "problem": self._problem}

    def results(self) -> list[dict[str, Any]]:
        """Those that were kept, the newest first."""
        try:
            found: list[dict[str, Any]] = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            log.warning("%s: cannot be read: %s", self._file.name, error)
            return []
        return found

    def _follow(self, process: subprocess.Popen[str], settings: Settings) -> None:
        assert process.stdin and process.stdout
        problem = "the evaluation was ended"
        try:
            with process.stdin as source:
                source.write(settings.model_dump_json() + "\n")
            for line in process.stdout:
                said = json.loads(line)
                if "result" in said:
                    kept = [said["result"], *self.results()][:_MOST_KEPT]
                    write_whole(self._file, json.dumps(kept).encode())
                    problem = ""
                elif "fault" in said:
                    problem = said["fault"]
                else:
                    self._doing, self._share = said["doing"], said["share"]
        except (OSError, ValueError) as error:
            problem = f"the evaluation failed: {error}"
        finally:
            process.stdout.close()
            process.wait()
            with self._lock:
                self._process, self._problem = None, problem
