"""The web server, in a thread beside the overlay."""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time

import uvicorn
from fastapi import FastAPI

from stream.fault import Fault

log = logging.getLogger(__name__)

_START_WITHIN_S = 10.0


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


def address(listener: socket.socket) -> str:
    """Where to point a browser."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


class Server:
    """Serves an application on a listening socket until `close`."""

    def __init__(self, app: FastAPI, listener: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            ws="websockets-sansio",
            ws_max_size=1 << 16,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
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
