"""The web process: every page and everything that programs may ask, for accounts that may; the overlay draws elsewhere.

Passwords are checked, galleries listed and archives searched here, so that none of it slows a live picture down.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from stream.config import Settings
from stream.display.server import OVERLAY_SOCKET, Server, address, listen
from stream.fault import Fault
from stream.web import restarting
from stream.web.app import create_app
from stream.web.camera_list import CameraList, Tell
from stream.web.opening import open_office
from stream.web.store import StoreError
from stream.web.tls import tls_files

_POLL_S = 0.05
_PORT_FILE = "display.port"


def run(
    settings: Settings,
    directory: Path,
    stop: threading.Event,
    ready: Callable[[str], None],
    beat: Callable[[], None] = lambda: None,
    config: Path | None = None,
    tell_cameras: Tell | None = None,
    tell_restart: restarting.Tell | None = None,
) -> None:
    """Serve until `stop` is set.

    config: the file of the settings, which the pages may change. tell_cameras: gets all cameras when somebody has
    changed them, tell_restart all settings when somebody has all stages started again; None when nobody may. ready
    gets the address once, when the overlay answers too; beat is called some twenty times a second. Raises Fault when
    the port or the accounts cannot be had.
    """
    with ExitStack() as stack:
        display = settings.display
        listener = listen(display.host, _port(display.port, directory))
        stack.callback(listener.close)
        try:
            office, keeper = open_office(settings, directory, config)
        except StoreError as error:
            raise Fault(str(error)) from error
        stack.callback(office.close)
        stack.callback(keeper.close)
        app = create_app(office, keeper)
        app.state.cameras = CameraList(office, tell_cameras)
        app.state.restart = restarting.Restart(office, tell_restart)
        server = Server(app, listener, **tls_files(display.tls))
        server.start()
        stack.callback(server.close)
        stack.callback(app.state.overlay.close)
        reading = threading.Thread(target=office.people.roster.read_ahead, name="roster")
        reading.start()
        stack.callback(reading.join)
        (directory / _PORT_FILE).write_text(str(listener.getsockname()[1]))
        told = False
        while not stop.wait(_POLL_S):
            beat()
            if not told and _answers(directory / OVERLAY_SOCKET):
                told = True
                ready(address(listener, display.tls is not None))


def _port(wanted: int, directory: Path) -> int:
    """The wanted port; for "any", the one that a process before this one had, so that open pages find it again."""
    if wanted == 0:
        try:
            return int((directory / _PORT_FILE).read_text())
        except (OSError, ValueError):
            pass
    return wanted


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        try:
            caller.connect(str(path))
        except OSError:
            return False
    return True
