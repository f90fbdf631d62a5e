"""`unvizard demo`: a street, a camera that films it, two people enrolled, and the pipeline watching."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from stream.config import Settings, load
from stream.session import serve
from stream.supervisor import Run
from tools.demo.clip import cached_clip
from tools.demo.enrolled import ENROLLED, enrol
from tools.preparing import prepare_with_progress, progress_bar
from tools.rtsp.server import RtspServer

CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"

console = Console(stderr=True)


def demo(
    headless: Annotated[bool, typer.Option(help="Without a person: nothing asks to be looked at.")] = False,
    seconds: Annotated[float | None, typer.Option(help="Stop this long after the first picture.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report (JSON) here at the end.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the live page; 0 takes any free one.")] = None,
) -> None:
    """Show it all on this machine: a made-up street over RTSP, two people enrolled, the live page."""
    settings = load(CONFIG)
    prepare_with_progress(settings, console)
    with progress_bar(console) as progress:
        task = progress.add_task("Making the demo clip", total=1.0)
        clip = cached_clip(lambda share: progress.update(task, completed=share))
    password = secrets.token_urlsafe(12)
    with (
        tempfile.TemporaryDirectory(prefix="unvizard-demo-") as scratch,
        RtspServer(user="demo", password=password, auth="digest") as camera,
    ):
        camera.add_file("/street", clip)
        settings = _with_camera(
            settings, camera.url("/street", credentials=True), Path(scratch), port, headless
        )
        enrol(settings)
        console.print(
            "Enrolled " + ", ".join(f"{name} (from {picture})" for name, picture in ENROLLED.items())
        )
        console.print(f"Camera: {camera.url('/street')} (a clip, served over RTSP on this machine)")
        if not serve(Run(settings, report=report), seconds, None if headless else _announce):
            raise typer.Exit(1)
    if report:
        console.print(f"Report: {report}")


def _with_camera(settings: Settings, url: str, scratch: Path, port: int | None, headless: bool) -> Settings:
    data = settings.model_dump(mode="json")
    data["cameras"] = [{"name": "street", "url": url}]
    data["recognition"]["gallery"] = str(scratch / "gallery.sqlite3")
    data["accounts"]["store"] = str(scratch / "accounts.sqlite3")
    data["signing"]["key"] = str(scratch / "signing.key")
    if port is not None or headless:
        data["display"]["port"] = port or 0
    return Settings.model_validate_json(msgspec.json.encode(data))


def _announce(url: str) -> None:
    console.print(f"\nLive page: [bold]{url}[/bold]   (Ctrl-C stops everything)\n")
