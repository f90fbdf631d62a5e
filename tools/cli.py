"""The `unvizard` command."""

from __future__ import annotations

import itertools
import logging
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

import stream
from engines.backends import EngineError
from engines.models import ModelError
from engines.recognition.calibration import CalibrationError
from engines.recognition.gallery import GalleryError
from stream.capture.address import AddressError, SourceKind, local_path, source_kind
from stream.capture.opening import Opener
from stream.capture.source import SourceError
from stream.config import ConfigError, Settings, load, parse
from stream.fault import Fault
from stream.session import serve
from stream.supervisor import Run
from stream.web.opening import first_words
from stream.web.store import StoreError
from tools.accounts import accounts
from tools.check_authenticity import authenticity
from tools.demo.command import demo
from tools.doctor import doctor
from tools.engines import engines
from tools.footage.command import footage
from tools.footage.options import Cameras, From, To
from tools.people import people
from tools.preparing import prepare_with_progress
from tools.replay_recording import Wish
from tools.replay_recording import anew as replay_anew
from tools.replay_recording import play as replay_footage
from tools.replay_recording import what_if as replay_what_if
from tools.unmask import unmask
from tools.verify import verify

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(people, name="people", help="Enrol people, list them, remove them.")
app.add_typer(accounts, name="accounts", help="Who may sign in to the pages, API keys, and the log.")
app.add_typer(engines, name="engines", help="Compile the networks, list, check and clean what is compiled.")
app.add_typer(footage, name="footage", help="Search the recordings, and see what was told of them.")
app.command()(demo)
app.command()(doctor)
app.command()(verify)
app.command()(unmask)
app.command()(authenticity)
console = Console(stderr=True)

Config = Annotated[Path | None, typer.Option(help="Settings in YAML; configs/default.yaml explains each.")]
Report = Annotated[Path | None, typer.Option(help="Write the report (JSON) here at the end.")]


@app.callback(invoke_without_command=True)
def main_options(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Unvizard: finds faces in live camera pictures, sees masks, guesses what they hide, and says who it may be."""
    if version:
        typer.echo(stream.__version__)
        raise typer.Exit


@app.command()
def run(
    urls: Annotated[
        list[str] | None, typer.Argument(help="rtsp://…, webcam:0 or a file; several for several cameras.")
    ] = None,
    config: Config = None,
    port: Annotated[int | None, typer.Option(help="Port of the live page; 0 takes any free one.")] = None,
    transport: Annotated[str, typer.Option(help="How RTSP cameras given here send: tcp or udp.")] = "tcp",
    seconds: Annotated[float | None, typer.Option(help="Stop this long after the first picture.")] = None,
    report: Report = None,
) -> None:
    """Watch cameras, and serve the annotated live page."""
    settings = _settings(config, urls or [], transport, port)
    if seconds is not None and seconds <= 0:
        _fail(f"--seconds: must be above 0, found {seconds:g}")
    if not settings.cameras:
        _fail("no camera: name one as rtsp://user:password@host/path, or give --config with cameras in it")
    prepare_with_progress(settings, console)
    if not serve(Run(settings, config, report=report), seconds, _announcing(settings)):
        raise typer.Exit(1)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A video file, or a folder of recordings.")],
    config: Config = None,
    output: Annotated[Path | None, typer.Option(help="Write the annotated recording (MP4) here.")] = None,
    real_time: Annotated[
        bool, typer.Option(help="At the recording's own pace, else as fast as it goes.")
    ] = False,
    port: Annotated[int | None, typer.Option(help="Port of the live page; 0 takes any free one.")] = 0,
    report: Report = None,
    camera: Cameras = None,
    start: From = None,
    end: To = None,
    anew: Annotated[
        bool, typer.Option(help="Of a folder: process it again, and compare frame by frame.")
    ] = False,
    every_frame: Annotated[
        bool, typer.Option(help="Of a folder: also frames that live passed over.")
    ] = False,
    what_if: Annotated[
        Path | None, typer.Option(help="Of a folder: run it under these settings (YAML) too.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="With --what-if: write a page (HTML) about it here.")
    ] = None,
) -> None:
    """Play a recording.

    A video file runs through the pipeline: every frame is processed, and the same file gives the same result. A folder
    of recordings is shown with what was seen on each frame live; or it is processed again (--anew, --what-if).
    """
    if file.is_dir():
        wish = Wish(file, camera or [], start, end, every_frame, output)
        if not what_if:
            _refuse("is for --what-if", {"--html": html})
        if anew or what_if:
            why = f"does not go with {'--anew' if anew else '--what-if'}"
            _refuse(why, {"--config": config, "--real-time": real_time, "--report": report})
            _refuse(why, {"--what-if": anew and what_if, "--output": what_if and output})
        if what_if:
            replay_what_if(wish, what_if, html)
        elif anew:
            replay_anew(wish)
        else:
            settings = _settings(config, [], "tcp", port, only_urls=True)
            replay_footage(wish, settings, real_time, report, _announcing(settings))
        return
    if not file.is_file():
        _fail(f"{file}: must be a file or a folder of recordings that exists")
    why = f"is for a folder of recordings, found the file {file}"
    _refuse(why, {"--camera": camera, "--from": start, "--to": end, "--anew": anew})
    _refuse(why, {"--every-frame": every_frame, "--what-if": what_if, "--html": html})
    settings = _settings(config, [str(file)], "tcp", port, only_urls=True)
    try:
        with closing(Opener(settings.cameras[0], lambda: True, paced=False).open()) as source:
            next(iter(source.pictures()), None)
    except SourceError as error:
        _fail(str(error))
    prepare_with_progress(settings, console, live=False)
    run = Run(settings, live=False, real_time=real_time, report=report, output=output)
    if not serve(run, None, _announcing(settings)):
        raise typer.Exit(1)


def _settings(
    config: Path | None, urls: list[str], transport: str, port: int | None, only_urls: bool = False
) -> Settings:
    """The file's settings with what the command line adds. Ends the command with a sentence on bad input."""
    try:
        settings = load(config) if config else Settings()
        data = settings.model_dump(mode="json")
        cameras = [] if only_urls else data["cameras"]
        for url in urls:
            name = _name(url, [camera["name"] for camera in cameras])
            cameras.append({"name": name, "url": url, "transport": transport})
        data["cameras"] = cameras
        if port is not None:
            data["display"]["port"] = port
        return parse(data, "command line" if urls else str(config or "settings"))
    except ConfigError as error:
        _fail(str(error))


def _name(url: str, taken: list[str]) -> str:
    """A camera's name when nobody gave it one: a recording's file name, or its number."""
    base, first = "camera", ""
    try:
        if source_kind(url) is SourceKind.FILE:
            stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(local_path(url)).stem).strip("-_")[:34]
            base, first = (f"{stem}-", stem) if stem else ("recording", "")
    except AddressError:
        pass  # the settings say what is wrong with it
    numbered = (f"{base}{n}" for n in itertools.count(2 if first else 1))
    return next(name for name in itertools.chain([first], numbered) if name and name not in taken)


def _announcing(settings: Settings) -> Callable[[str], None]:
    """Tells where the pages are, and how to sign in for the first time."""

    def announce(url: str) -> None:
        console.print(f"Live page: [bold]{url}[/bold]   (Ctrl-C stops everything)")
        for line in first_words(settings, url, console.is_terminal):
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    return announce


def _refuse(why: str, options: Mapping[str, object]) -> None:
    """End the command when one of these options was given."""
    for name, given in options.items():
        if given:
            _fail(f"{name}: {why}")


def _fail(message: str) -> NoReturn:
    console.print(f"[red]{escape(message)}[/red]", highlight=False)
    raise typer.Exit(2)


def main() -> None:
    """Entry point: what a person must mend is one sentence, not a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        app()
    except (CalibrationError, EngineError, Fault, GalleryError, ModelError, StoreError) as error:
        console.print(f"[red]{escape(str(error))}[/red]", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
