"""`unvizard replay FOLDER`: a recordings folder played, processed anew, or run under other settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from engines.recognition.audit import Action
from stream.archive.archive import Archive, ArchiveError
from stream.config import ConfigError, Settings, parse
from stream.exporter import Exporter
from stream.messages import FrameResult
from stream.overlay import draw
from stream.replay.anew import Outcome, process_anew
from stream.replay.pairing import Kind
from stream.replay.playback import PlayedFrame
from stream.replay.processing import ReplayError
from stream.replay.selection import Selection, local
from stream.replay.what_if import compare
from stream.replay.what_if_report import decision, sentence, write_page
from stream.session import serve
from stream.supervisor import Run
from tools.footage.options import fail, known_cameras, span
from tools.preparing import progress_bar

err = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for. cameras: none for all of them."""

    folder: Path
    cameras: list[str]
    start: str | None
    end: str | None
    every_frame: bool
    output: Path | None

    def selection(self) -> Selection:
        """The stretch of time."""
        return Selection(str(self.folder.absolute()), *span(self.start, self.end), self.every_frame)


def play(
    wish: Wish, settings: Settings, real_time: bool, report: Path | None, announce: Callable[[str], None]
) -> None:
    """Show the recorded pictures with what was seen on them live, on the live page and in an annotated MP4."""
    with _sentences(), Archive.open(wish.folder) as archive:
        selection, cameras = wish.selection(), _cameras(archive, wish)
        _log(archive, "played", selection, cameras)
        folder = str(wish.folder.absolute())
        places = [{"name": name, "url": folder, "recording": "off"} for name in cameras]
        settings = parse({**settings.model_dump(mode="json"), "cameras": places}, str(wish.folder))
    run = Run(settings, live=False, real_time=real_time, report=report, output=wish.output, footage=selection)
    if not serve(run, None, announce):
        raise typer.Exit(1)


def anew(wish: Wish) -> None:
    """Process the recorded steps again, and say whether the same came out. Exit status 1 when it did not."""
    with _sentences(), Archive.open(wish.folder) as archive, progress_bar(err) as progress:
        selection, cameras = wish.selection(), _cameras(archive, wish)
        _log(archive, "processed anew", selection, cameras)
        task = progress.add_task("Preparing engines", total=None)
        films = _Films(cameras, wish.output) if wish.output else None

        def show(frame: PlayedFrame, result: FrameResult) -> None:
            progress.update(task, description=f"Processing {local(frame.wall_ns)}")
            if films:
                films.write(frame, result)

        try:
            outcome = process_anew(
                archive, selection.from_ns, selection.to_ns, cameras, wish.every_frame, on_result=show
            )
        finally:
            if films:
                films.close()
    _tell(outcome, wish.every_frame)


def what_if(wish: Wish, other: Path, html: Path | None) -> None:
    """Run the footage under other settings too, and show who would have been found or missed."""
    with _sentences(), Archive.open(wish.folder) as archive, progress_bar(err) as progress:
        selection, cameras = wish.selection(), _cameras(archive, wish)
        _log(archive, f"run under {other.name}", selection, cameras)
        task = progress.add_task("Preparing engines", total=None)
        findings = compare(
            archive,
            selection,
            other,
            cameras,
            on_frame=lambda frame: progress.update(task, description=f"Processing {local(frame.wall_ns)}"),
        )
        if html:
            write_page(findings, other, html)
    table = Table("what", "camera", "when", "recorded settings", other.name)
    for pair in findings.pairs:
        if pair.kind in (Kind.FOUND, Kind.MISSED, Kind.RENAMED, Kind.CONFUSED):
            row = (pair.kind.value, pair.camera, local(pair.first_ns)[:19])
            table.add_row(*row, decision(pair.recorded), decision(pair.other))
    out = Console(markup=False, highlight=False)
    if table.row_count:
        out.print(table)
    out.print(sentence(findings, other), soft_wrap=True)
    for note in findings.notes:
        out.print(f"Note: {note}", soft_wrap=True)


class _Films:
    """An annotated MP4 for each camera: the first has the name that was asked for, as in a replay of a file."""

    def __init__(self, cameras: list[str], output: Path) -> None:
        names = [output, *(output.with_name(f"{output.stem}-{name}{output.suffix}") for name in cameras[1:])]
        self._exporters = {name: Exporter(path) for name, path in zip(cameras, names, strict=True)}

    def write(self, frame: PlayedFrame, result: FrameResult) -> None:
        """Draw what was seen, and add the picture."""
        picture = frame.bgr()
        draw(picture, result.faces)
        self._exporters[frame.camera].write(picture, frame.media_ns)

    def close(self) -> None:
        """Finish the files."""
        for exporter in self._exporters.values():
            exporter.close()


def _tell(outcome: Outcome, every_frame: bool) -> None:
    out = Console(markup=False, highlight=False, soft_wrap=True)
    if not outcome.processed:
        fail("there is no processed footage of these cameras and this time")
    if every_frame:
        out.print(
            f"{outcome.processed} recorded frames processed, {outcome.compared} of them as live did too"
        )
    if not every_frame or outcome.compared:
        out.print(f"{outcome.same} of {outcome.compared} frames came out bit for bit the same")
    if outcome.erased:
        out.print(f"{outcome.erased} frames cannot be compared: somebody was erased from them since")
    if outcome.without_footage:
        out.print(f"{outcome.without_footage} frames were processed live and are not recorded")
    for note in outcome.notes:
        out.print(f"Note: {note}")
    if outcome.first:
        first = outcome.first
        out.print(
            f"First to differ: {first.camera} at {local(first.wall_ns)}, step {first.step}: {first.how}"
        )
        for reason in first.why or ("nothing that is known of; please report it",):
            out.print(f"  {reason}")
    if outcome.first and not every_frame:
        raise typer.Exit(1)


def _cameras(archive: Archive, wish: Wish) -> list[str]:
    known = archive.cameras()
    if not known:
        raise ReplayError(f"{wish.folder}: nothing is recorded here yet")
    return list(dict.fromkeys(known_cameras(archive, wish.cameras))) or known


def _log(archive: Archive, what: str, selection: Selection, cameras: list[str]) -> None:
    span = f"from {selection.from_ns or 'the beginning'} to {selection.to_ns or 'the end'}"
    archive.log(Action.VIEWED, detail=f"{', '.join(cameras)} {span}, {what}")


@contextmanager
def _sentences() -> Iterator[None]:
    """Ends the command with one line for what a person must mend."""
    try:
        yield
    except (ArchiveError, ConfigError, OSError, ReplayError, ValueError) as error:
        fail(str(error))
