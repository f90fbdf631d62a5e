"""The server: listens, holds the mounts, and runs its event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

from tools.rtsp.authentication import Guard, Scheme
from tools.rtsp.connection import Connection, Handled
from tools.rtsp.faults import Faults
from tools.rtsp.live import LiveSource, StampScene
from tools.rtsp.mount import Mount
from tools.rtsp.sources import FileSource, Source, Together, ToneSource

T = TypeVar("T")


class RtspServer:
    """A camera, or many, on this machine.

        with RtspServer(user="viewer", password="secret", auth="digest") as server:
            server.add_file("/street", "clip.mp4")
            play(server.url("/street", credentials=True))
            server.faults("/street").stall()

    Every method may be called from any thread but the server's own. host: the address to listen on, this
    machine only unless told otherwise. port 0 lets the system choose; the port stays the same over stop() and
    start(). auth: None, "basic", "digest" (MD5) or "digest-sha256". session_timeout: seconds of silence after
    which a client is dropped. Raises OSError when the port is taken.
    """

    def __init__(
        self,
        port: int = 0,
        user: str = "",
        password: str = "",
        auth: str | None = None,
        host: str = "127.0.0.1",
        session_timeout: float = 60.0,
    ) -> None:
        if auth is not None and auth not in list(Scheme):
            raise ValueError(f"auth must be None or one of {', '.join(Scheme)}, found {auth!r}")
        self.host, self.port, self.session_timeout = host, port, session_timeout
        self._credentials = (user, password)
        self._scheme = Scheme(auth) if auth is not None else None
        self._mounts: dict[str, Mount] = {}
        self._connections: set[Connection] = set()
        self._frozen: set[asyncio.StreamWriter] | None = None
        self._handled: deque[Handled] = deque(maxlen=1000)
        self._listener: asyncio.Server | None = None
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="rtsp-server", daemon=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except OSError:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Mounts

    def add_file(
        self,
        path: str,
        clip: str | Path,
        *,
        sound: bool = False,
        parameters: str = "both",
    ) -> str:
        """Serve a clip in a loop; returns its address.

        sound: a tone as a second track. parameters: where the decoder's parameter sets travel: in the "sdp",
        in the "stream" or in "both". Raises ValueError when the clip is not H.264 or H.265, OSError when it
        cannot be read.
        """
        if parameters not in ("both", "sdp", "stream"):
            raise ValueError(f"parameters must be both, sdp or stream, found {parameters!r}")
        source: Source = FileSource(clip, parameters_in_stream=parameters != "sdp")
        if sound:
            source = Together(source, ToneSource())
        return self.add(path, source, announce_parameters=parameters != "stream")

    def add_stamp(
        self,
        path: str,
        codec: str = "h264",
        size: tuple[int, int] = (1280, 720),
        fps: float = 25,
        lead: float = 0.0,
    ) -> str:
        """Serve a live picture into which its time is burnt (tools/stamp.py reads it); returns the address.

        lead: see LiveSource; 0 counts the encoder in, 0.1 leaves it out.
        """
        return self.add(path, LiveSource(StampScene(size), size, fps, codec, lead=lead))

    def add_tone(self, path: str) -> str:
        """Serve sound without pictures; returns its address."""
        return self.add(path, ToneSource())

    def add(self, path: str, source: Source, announce_parameters: bool = True) -> str:
        """Serve any source, such as a LiveSource, at a path, which may hold a query; returns its address."""
        if not path.startswith("/"):
            raise ValueError(f"a mount must begin with '/', found {path!r}")
        mount = Mount(path, source, announce_parameters, self._now)
        self._mounts = {**self._mounts, path: mount}
        return self.url(path)

    def url(self, path: str, credentials: bool = False) -> str:
        """The address of a path, with user and password if asked."""
        user, password = (quote(part, safe="") for part in self._credentials)
        login = f"{user}:{password}@" if credentials and user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"rtsp://{login}{host}:{self.port}{path}"

    # Watching and disturbing

    def faults(self, path: str) -> Faults:
        """The faults of a mount. Raises KeyError."""
        return self._mounts[path].faults

    def players(self, path: str) -> int:
        """How many clients are being sent this mount's stream."""
        return len(self._mounts[path].players)

    @property
    def requests(self) -> tuple[Handled, ...]:
        """The latest requests that were answered, oldest first."""
        return tuple(self._handled)

    def freeze(self) -> None:
        """Accept new connections and never read from them or answer. Ended by thaw()."""
        self._now(lambda: setattr(self, "_frozen", set()))

    def thaw(self) -> None:
        """Close the connections accepted while frozen, and serve new ones."""

        def end() -> None:
            frozen, self._frozen = self._frozen, None
            for writer in frozen or ():
                writer.close()

        self._now(end)

    def renew_nonces(self) -> None:
        """Let the nonces of all connections expire: their next request is answered 401 with stale=true."""

        def renew() -> None:
            for connection in self._connections:
                if connection.guard is not None:
                    connection.guard.renew()

        self._now(renew)

    # Starting and stopping

    def start(self) -> None:
        """Listen; after stop(), on the same port again."""
        if not self._thread.is_alive():
            self._thread.start()
        self._wait(self._start())

    def stop(self) -> None:
        """Close the port and drop every client, as when a camera loses power. The mounts remain."""
        self.thaw()
        self._wait(self._stop())

    def close(self) -> None:
        """Stop for good."""
        if self._thread.is_alive():
            self.stop()
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()
        self._runner.close()

    async def _start(self) -> None:
        self._listener = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in tuple(self._connections):
            connection.drop()
        while self._connections:
            await asyncio.sleep(0.001)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._frozen is not None:
            self._frozen.add(writer)
            return
        connection = Connection(self, reader, writer)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)

    # What a connection asks

    def mount(self, target: str) -> Mount | None:
        """The mount that a request's address names, its track left aside."""
        try:
            parts = urlsplit(target)
        except ValueError:
            return None
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        path = path.partition("/trackID=")[0]
        return self._mounts.get(path) or self._mounts.get(path.rstrip("/"))

    def guard(self) -> Guard | None:
        """The check for a new connection."""
        return Guard(self._scheme, *self._credentials) if self._scheme is not None else None

    def handled(self, entry: Handled) -> None:
        """Note an answered request."""
        self._handled.append(entry)

    # The loop's thread

    def _run(self) -> None:
        with self._runner:
            self._runner.run(self._wait_for_close())

    async def _wait_for_close(self) -> None:
        await self._closing.wait()

    def _now(self, action: Callable[[], None]) -> None:
        """Run an action on the loop and wait for it; its error is ours."""

        async def run() -> None:
            action()

        if self._thread.is_alive():
            self._wait(run())
        else:
            action()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(timeout=30)
