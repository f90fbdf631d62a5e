"""The settings file: what it says, the versions before, and how a new one takes its place.

Beside `site.yaml` stands the folder `site.yaml.history`, one file a version; all are for their owner only, for
they may hold passwords. A version that was written by hand is kept there too, before the first change on top of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from stream.config import ConfigError
from stream.ledger import write_whole

_MOST_KEPT = 200
_BY_HAND = "by hand"
_MARK = "# unvizard version "


class ChangedMeanwhile(RuntimeError):
    """The file is not what the change was made for."""


@dataclass(frozen=True, slots=True)
class Version:
    """One state of the file. wall_ns: when it was saved, UTC, and its name; by: an account; what: a few words."""

    wall_ns: int
    by: str
    what: str


class SettingsFile:
    """A settings file of one's own. Threads take turns."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()  # a link stays one
        self._history = self.path.with_name(self.path.name + ".history")
        self._lock = threading.Lock()

    def text(self) -> str:
        """Its text; "" while it is not there. Raises ConfigError."""
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.path.name}: cannot be read: {error}") from None

    def save(self, text: str, by: str, what: str, revision: str) -> Version:
        """Put a text in its place, as a whole. revision: of the text that it is a change of.

        Raises ChangedMeanwhile, and OSError; then nothing was changed.
        """
        with self._lock:
            before = self.text()
            if revision_of(before) != revision:
                raise ChangedMeanwhile(
                    f"{self.path.name} was changed in the meantime: load the page again, and look at what it says now"
                )
            self._history.mkdir(mode=0o700, exist_ok=True)
            kept = self.versions()
            if before and (not kept or self.version(kept[0].wall_ns) != before):
                self._keep(before, Version(_modified_ns(self.path), _BY_HAND, "as it was found"))
            version = Version(time.time_ns(), by, what)
            self._keep(text, version)
            write_whole(self.path, text.encode())
            for old in self.versions()[_MOST_KEPT:]:
                self._file(old.wall_ns).unlink(missing_ok=True)
            return version

    def versions(self) -> list[Version]:
        """What was saved, the newest first."""
        found = []
        for path in self._history.glob("*.yaml"):
            with suppress(OSError, ValueError, TypeError), path.open(encoding="utf-8") as file:
                found.append(Version(**json.loads(file.readline().removeprefix(_MARK))))
        return sorted(found, key=lambda version: -version.wall_ns)

    def version(self, wall_ns: int) -> str | None:
        """The text of a version."""
        try:
            return self._file(wall_ns).read_text(encoding="utf-8").partition("\n")[2]
        except OSError:
            return None

    def _file(self, wall_ns: int) -> Path:
        return self._history / f"{wall_ns}.yaml"

    def _keep(self, text: str, version: Version) -> None:
        write_whole(self._file(version.wall_ns), f"{_MARK}{json.dumps(asdict(version))}\n{text}".encode())


def revision_of(text: str) -> str:
    """By which a change says of what it is one."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain(text: str, name: str) -> dict[str, Any]:
    """The plain values of a text. Raises ConfigError when it is no mapping."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: is not YAML: {error}") from None
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise ConfigError(f"{name}: must be a mapping of keys to values, found {type(data).__name__}")
    return dict(data)


def _modified_ns(path: Path) -> int:
    return os.stat(path).st_mtime_ns
