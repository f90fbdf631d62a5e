"""The port of the live page, and whether those who are sent events can be reached."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import psutil

from stream.capture.address import redact
from stream.config import Settings
from tools.doctor_checks.finding import Finding, fault, ok, warning

_WAIT_S = 3.0


def network(settings: Settings) -> Iterator[Finding]:
    """The page's port, and the receivers of events."""
    yield _page(settings.display.host, settings.display.port)
    for hook in settings.events.web_hooks:
        parts = urlsplit(hook.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        yield _receiver(f"web hook {hook.name}", parts.hostname or "", port)
    for broker in settings.events.mqtt:
        yield _receiver(f"broker {broker.name}", broker.host, broker.port)


def _page(host: str, port: int) -> Finding:
    name = "port of the live page"
    if port == 0:
        return ok(name, "any free one")
    family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    try:
        with socket.socket(family, kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(place)
    except PermissionError:
        advice = "ports below 1024 are for root: choose another as display.port"
        return fault(name, f"{host}:{port} is not allowed", advice)
    except OSError as error:
        user = _user_of(port)
        if "unvizard" in user:
            advice = "a run is on: stop it first, or give the second one another display.port"
            return warning(name, f"{host}:{port} is used by {user}", advice)
        advice = "stop that program, or choose another display.port (0 takes any free one)"
        return fault(name, f"{host}:{port}: {error.strerror}{f', by {user}' if user else ''}", advice)
    return ok(name, f"{host}:{port} is free")


def _user_of(port: int) -> str:
    """The process that listens there, as far as this user may know."""
    try:
        listening = [
            c
            for c in psutil.net_connections("tcp")
            if c.status == psutil.CONN_LISTEN and c.laddr.port == port
        ]
        pid = next((c.pid for c in listening if c.pid), None)
        if pid is None:
            return "a program of another user" if os.getuid() else ""
        words = psutil.Process(pid).cmdline()
        program = "unvizard" if any("unvizard" in word for word in words[:3]) else psutil.Process(pid).name()
        return f"{program} (process {pid})"
    except psutil.Error:
        return ""


def _receiver(name: str, host: str, port: int) -> Finding:
    try:
        socket.create_connection((host, port), _WAIT_S).close()
    except OSError as error:
        reason = error.strerror or str(error) or "no answer"
        advice = (
            "check name, port and firewall; events wait in the meantime, as long as the rule's expires_h says"
        )
        return warning(name, redact(f"{host}:{port} cannot be reached: {reason}"), advice)
    return ok(name, f"{host}:{port} answers")
