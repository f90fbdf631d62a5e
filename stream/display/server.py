"""Web servers in a thread of their own: the overlay's on a socket of its run, the pages' on a port."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from stream.fault import Fault

log = logging.getLogger(__name__)

OVERLAY_SOCKET = "overlay.http"
"""In the run's directory: the overlay answers there, and the process of the pages asks."""
_START_WITHIN_S = 10.0
_ROOM = 1 << 20  # bytes


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises Fault, naming the setting, when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(128)
    except OSError as error:
        made.close()
        rule = "must be free, or 0 for any" if error.errno == errno.EADDRINUSE else "must be one to listen at"
        raise Fault(f"display.port: {rule}, found {port} at {host}: {error.strerror}") from None
    made.setblocking(False)
    return made


def listen_inside(path: Path) -> socket.socket:
    """A listening socket that only this user's processes reach; what a killed process left there is replaced."""
    path.unlink(missing_ok=True)
    made = _Roomy(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(path))
    os.chmod(path, 0o600)
    made.listen(128)
    made.setblocking(False)
    return made


def address(listener: socket.socket, https: bool = False) -> str:
    """Where to point a browser on this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http{'s' if https else ''}://{f'[{host}]' if ':' in host else host}:{port}/"


class _Roomy(socket.socket):
    """Its connections take a whole picture at once: by default the second half waits until the first is read."""

    def accept(self) -> tuple[socket.socket, Any]:
        connection, peer = super().accept()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
        return connection, peer


class Server:
    """Serves an application on a listening socket until `close`."""

    def __init__(
        self,
        app: FastAPI,
        listener: socket.socket,
        *,
        ssl_certfile: Path | None = None,
        ssl_keyfile: Path | None = None,
    ) -> None:
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,  # else anybody on this machine could pretend to ask from elsewhere
            ws="websockets-sansio",
            ws_max_size=1 << 16,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
            ssl_certfile=ssl_certfile,
            ssl_keyfile=ssl_keyfile,
        )
        self._server = uvicorn.Server(config)
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    def start(self) -> None:
        """Serve, from a thread of its own. Raises RuntimeError when the server does not come up."""
        self._thread.start()
        deadline = time.monotonic() + _START_WITHIN_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the web server did not start")
            time.sleep(0.005)

    def close(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join(5)

    def _run(self) -> None:
        self._server.run(sockets=[self._listener])
