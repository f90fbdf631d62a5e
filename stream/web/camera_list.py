"""The cameras of a run that is on: added, changed and taken out, kept in the settings file where there is one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

from stream.capture.address import AddressError, SourceKind, redact, source_kind
from stream.config import Camera, ConfigError, Settings, parse
from stream.web.account import Account
from stream.web.office import Office
from stream.web.settings_file import plain, revision_of
from stream.web.settings_text import changed

Tell = Callable[[list[dict[str, Any]]], None]


class CamerasFixed(RuntimeError):
    """The cameras of this run cannot be changed; the text says why."""


class CameraList:
    """Changes one thing at a time, whoever asks. All methods that change raise CamerasFixed, ConfigError and OSError;
    then nothing was changed. KeyError: there is no camera of that name.
    """

    def __init__(self, office: Office, tell: Tell | None) -> None:
        """tell: hands all cameras, as plain values, to the supervisor; None while a recording is played."""
        self._office, self._tell = office, tell
        self._lock = threading.Lock()

    @property
    def may_change(self) -> bool:
        """Whether cameras can be changed now."""
        return self._tell is not None

    @property
    def kept_in(self) -> str | None:
        """The file that a change is kept in; None when it holds until Unvizard stops."""
        file = self._office.settings_file
        return file.path.name if file else None

    def all(self) -> tuple[Camera, ...]:
        """Those that there are."""
        return self._office.settings.cameras

    def camera(self, name: str) -> Camera:
        """One of them. Raises KeyError."""
        return next(iter(camera for camera in self.all() if camera.name == name), None) or _missing(name)

    def add(self, camera: dict[str, Any], account: Account) -> None:
        """Watch one more."""
        with self._lock:
            made = self._with([*map(_plain, self.all()), camera])
            self._go_on(made, camera["name"], "added camera", account)

    def change(self, name: str, values: dict[str, Any], account: Account) -> None:
        """Watch one otherwise: values by their names in the settings."""
        with self._lock:
            self.camera(name)
            listed = [{**_plain(camera), **(values if camera.name == name else {})} for camera in self.all()]
            self._go_on(self._with(listed), name, "changed camera", account)

    def remove(self, name: str, account: Account) -> None:
        """Watch one no longer. What was recorded of it stays."""
        with self._lock:
            self.camera(name)
            made = self._with([_plain(camera) for camera in self.all() if camera.name != name])
            self._go_on(made, name, "removed camera", account)

    def _with(self, cameras: list[dict[str, Any]]) -> Settings:
        return parse({**self._office.settings.model_dump(mode="json"), "cameras": cameras}, "cameras")

    def _go_on(self, settings: Settings, name: str, verb: str, account: Account) -> None:
        if self._tell is None:
            raise CamerasFixed("a recording is being played: cameras are added to a live run")
        camera = next((each for each in settings.cameras if each.name == name), None)
        what = f"{name} {redact(camera.url)}" if camera else name
        self._keep(settings.cameras, name, f"{verb} {name}", account)
        self._office.journal.write(account, verb, what)
        self._office.settings = settings
        self._tell([_plain(each) for each in settings.cameras])

    def _keep(self, cameras: Iterable[Camera], touched: str, what: str, account: Account) -> None:
        """Put them into the settings file, but for those that were named on the command line."""
        file = self._office.settings_file
        if file is None:
            return
        text = file.text()
        before = plain(text, file.path.name)
        filed = {camera.get("name") for camera in before.get("cameras") or []} | {touched}
        listed = [
            camera.model_dump(mode="json", exclude_defaults=True)
            for camera in cameras
            if camera.name in filed
        ]
        after = {**before, "cameras": listed}
        file.save(changed(text, before, after, ["cameras"]), account.name, what, revision_of(text))


def page_address(url: str) -> str:
    """An address that may be given on a page. Raises ConfigError.

    Cameras on the network only: the settings' author may have files read, whoever uses the page may not.
    """
    try:
        kind = source_kind(url)
    except AddressError as error:
        raise ConfigError(f"url: {error}") from None
    if kind is not SourceKind.RTSP:
        raise ConfigError(
            "url: must begin with rtsp:// or rtsps:// (files and webcams are named in the settings), "
            f"found {redact(url)!r}"
        )
    if any(ord(c) < 32 or ord(c) == 127 for c in unquote(url)):
        raise ConfigError(
            "url: must be without control characters, also without those written as %0d or the like"
        )
    if "://***@" in url:
        raise ConfigError(
            "url: *** stands for a password that is not shown; write it out, or leave the address empty"
        )
    return url


def _plain(camera: Camera) -> dict[str, Any]:
    return camera.model_dump(mode="json")


def _missing(name: str) -> Camera:
    raise KeyError(name)
