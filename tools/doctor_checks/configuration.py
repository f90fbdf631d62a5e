"""The settings themselves: that they can be read, and by whom."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from stream.capture.address import SourceKind, source_kind, split_rtsp
from stream.config import ConfigError, Settings, load
from tools.doctor_checks.finding import Finding, fault, ok, warning


def configuration(path: Path | None) -> tuple[Settings, list[Finding]]:
    """The settings of a file, or the defaults where there is none or it is wrong; and what is to be said of it."""
    name = "settings"
    if path is None:
        return Settings(), [ok(name, "the defaults; --config FILE looks at your own")]
    try:
        settings = load(path)
    except ConfigError as error:
        advice = "mend it: configs/default.yaml explains each key; the rest was looked at with the defaults"
        return Settings(), [fault(name, str(error), advice)]
    return settings, list(_about(path, settings))


def _about(path: Path, settings: Settings) -> Iterator[Finding]:
    found = f"{path}, cameras: {len(settings.cameras)}, rules: {len(settings.events.rules)}"
    mode = path.stat().st_mode
    if _holds_secrets(settings) and mode & (stat.S_IRGRP | stat.S_IROTH):
        yield warning("settings", f"{found}; passwords in it can be read by other users", f"chmod 600 {path}")
    else:
        yield ok("settings", found)


def _holds_secrets(settings: Settings) -> bool:
    return (
        any(
            source_kind(camera.url) is SourceKind.RTSP and split_rtsp(camera.url).password
            for camera in settings.cameras
        )
        or any(hook.secret for hook in settings.events.web_hooks)
        or any(broker.password for broker in settings.events.mqtt)
    )
