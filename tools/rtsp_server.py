"""`python -m tools.rtsp_server`: clips as RTSP cameras on this machine. Tests use RtspServer directly."""

from __future__ import annotations

import argparse
import re
import signal
import sys

from tools.rtsp.server import RtspServer

__all__ = ["RtspServer", "main"]

STOP = {signal.SIGINT, signal.SIGTERM}


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.rtsp_server", description=__doc__)
    parser.add_argument(
        "--mount", action="append", default=[], metavar="/PATH=FILE", help="serve a clip in a loop"
    )
    parser.add_argument(
        "--tone", action="append", default=[], metavar="/PATH", help="serve sound without pictures"
    )
    parser.add_argument(
        "--stamp",
        action="append",
        default=[],
        metavar="/PATH[:h265][:WxH[@FPS]]",
        help="serve a live picture with the time burnt in (1280x720@25 if not told)",
    )
    parser.add_argument("--port", type=int, default=8554)
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine only)"
    )
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--auth", choices=("basic", "digest", "digest-sha256"), default="digest")
    given = parser.parse_args(arguments)
    if not given.mount and not given.tone and not given.stamp:
        parser.error("name at least one --mount, --stamp or --tone")
    # Blocked in every thread and waited for below: a handler may be left to a thread that never wakes this one.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    auth = given.auth if given.user else None
    try:
        server = RtspServer(given.port, given.user, given.password, auth, given.host)
        with server:
            for mount in given.mount:
                path, _, clip = mount.partition("=")
                print(server.add_file(path, clip), flush=True)
            for text in given.stamp:
                print(_add_stamp(server, text), flush=True)
            for path in given.tone:
                print(server.add_tone(path), flush=True)
            signal.sigwait(STOP)
    except (OSError, ValueError) as error:
        print(f"rtsp_server: {error}", file=sys.stderr)
        return 1
    return 0


def _add_stamp(server: RtspServer, text: str) -> str:
    """Add what --stamp names; its address."""
    match = re.fullmatch(r"(/[^:]*)(?::(h264|h265))?(?::(\d+)x(\d+)(?:@(\d+(?:\.\d+)?))?)?", text)
    if not match:
        raise ValueError(f"--stamp must be /PATH[:h264|:h265][:WxH[@FPS]], found {text!r}")
    path, codec, width, height, fps = match.groups()
    size = (int(width), int(height)) if width else (1280, 720)
    return server.add_stamp(path, codec or "h264", size, float(fps or 25))


if __name__ == "__main__":
    sys.exit(main())
