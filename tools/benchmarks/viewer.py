"""Someone who watches the live page, without a browser: takes every picture that is offered and acknowledges it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter

from websockets import Origin
from websockets.sync.client import connect


class Viewer:
    """Watches the cameras of a live page at one width until closed. pictures counts what came, by camera."""

    def __init__(self, url: str, cameras: list[str], width: int) -> None:
        self.pictures: Counter[str] = Counter()
        self.first_picture_s: float | None = None  # monotonic
        page = url.rstrip("/")
        self._socket = connect(page.replace("http", "ws", 1) + "/ws", max_size=None, origin=Origin(page))
        self._socket.send(json.dumps({"want": dict.fromkeys(cameras, width), "density": 1}))
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave."""
        self._socket.close()
        self._thread.join(2)

    def _watch(self) -> None:
        for message in self._socket:
            if isinstance(message, str):
                continue
            length = int.from_bytes(message[:4], "big")
            header = json.loads(message[4 : 4 + length])
            if self.first_picture_s is None:
                self.first_picture_s = time.monotonic()
            self.pictures[header["camera"]] += 1
            self._socket.send(json.dumps({"ack": header["camera"]}))
