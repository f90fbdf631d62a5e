"""Starting all stages again from the pages, so that settings take effect that do not while the stages run."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, HTTPException, Request

from stream.capture.address import redact
from stream.config import ConfigError, Settings, parse
from stream.web.account import Account
from stream.web.asking import account_of
from stream.web.office import Office
from stream.web.settings_file import plain
from stream.web.settings_form import fields, value_at

router = APIRouter(tags=["settings"])

Tell = Callable[[dict[str, Any]], None]

_ONLY_AT_A_START = {"display": ("host", "port", "tls"), "accounts": ("sign_in", "store")}
"""What the pages themselves stand on: a mistake in it would leave nobody a page to mend it on."""


class CannotRestart(RuntimeError):
    """The stages cannot be started again; the text says why."""


class Restart:
    """One a web process, which is started again with the other stages."""

    def __init__(self, office: Office, tell: Tell | None) -> None:
        """tell: hands the settings to go on with, as plain values, to the supervisor; None while a recording plays."""
        self.instance = secrets.token_hex(8)
        self._office, self._tell = office, tell
        self._lock, self._asked = threading.Lock(), False
        try:
            filed = {camera.name for camera in self._filed().cameras}
        except ConfigError:
            filed = set()
        self._given = {camera.name for camera in office.settings.cameras} - filed  # on the command line

    @property
    def possible(self) -> bool:
        """Whether this run can be started again from here."""
        return self._tell is not None

    def settings(self) -> Settings:
        """What the stages would go on with: the file's settings, but for what the pages stand on, and the cameras of
        the command line too. Raises ConfigError.
        """
        running = self._office.settings.model_dump(mode="json")
        if self._office.settings_file is None:
            return self._office.settings
        wanted = self._filed().model_dump(mode="json")
        for section, names in _ONLY_AT_A_START.items():
            wanted[section] |= {name: running[section][name] for name in names}
        there = {camera["name"] for camera in wanted["cameras"]}
        wanted["cameras"] += [
            camera
            for camera in running["cameras"]
            if camera["name"] in self._given and camera["name"] not in there
        ]
        return parse(wanted, "settings")

    def takes_effect(self) -> list[str]:
        """The settings that a restart would bring into effect. Raises ConfigError."""
        running, wanted = (each.model_dump(mode="json") for each in (self._office.settings, self.settings()))
        return [path for path in fields() if value_at(running, path) != value_at(wanted, path)]

    def ask(self, account: Account) -> list[str]:
        """Have all stages started again; the settings that take effect by it. Raises CannotRestart and ConfigError."""
        if self._tell is None:
            raise CannotRestart("a recording is being played: it ends by itself")
        settings, changed = self.settings(), self.takes_effect()
        with self._lock:
            if self._asked:
                raise CannotRestart("the stages are being started again already")
            self._asked = True
        self._office.journal.write(
            account, "restarted", f"all stages; {', '.join(changed) or 'same settings'}"
        )
        self._tell(settings.model_dump(mode="json"))
        return changed

    def _filed(self) -> Settings:
        file = self._office.settings_file
        return parse(plain(file.text(), file.path.name), file.path.name) if file else Settings()


@router.get("/api/restart")
def about(request: Request) -> dict[str, Any]:
    """Whether all stages can be started again, and what would take effect by it. instance: another one afterwards."""
    restart = _restart(request)
    try:
        takes_effect, problem = restart.takes_effect(), ""
    except ConfigError as error:
        takes_effect, problem = [], redact(str(error))
    return {
        "instance": restart.instance,
        "possible": restart.possible and not problem,
        "problem": problem,
        "takes_effect": takes_effect,
    }


@router.post("/api/restart", status_code=202)
def again(request: Request) -> dict[str, Any]:
    """Stop all stages in the order in which frames flow, the pages last, and start them with the file's settings.

    The pages are away for some seconds. Nothing is watched or recorded meanwhile.
    """
    restart = _restart(request)
    try:
        return {"instance": restart.instance, "takes_effect": restart.ask(account_of(request))}
    except (CannotRestart, ConfigError) as error:
        raise HTTPException(409, redact(str(error))) from None


def _restart(request: Request) -> Restart:
    restart = request.app.state.restart
    assert isinstance(restart, Restart)
    return restart
