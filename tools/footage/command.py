"""`unvizard footage`: what is in the recordings, who was seen, and what was told of it.

It works beside a running pipeline. Every search for people and every look at somebody is a line of the recordings' log.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from engines.masks.state import MaskState
from engines.recognition.audit import Action
from engines.recognition.enrolment import Refused
from engines.recognition.names import clean_name
from stream.archive.sightings import Query
from stream.events.document import readable, schema
from tools.footage import text
from tools.footage.bundle import bundle
from tools.footage.care import erase_person, log, protect, unprotect
from tools.footage.export import export
from tools.footage.local_times import full_hour, show_time
from tools.footage.options import (
    AsJson,
    Cameras,
    Config,
    Folder,
    From,
    Limit,
    To,
    fail,
    known_cameras,
    opened,
    span,
)

_HOUR_NS = 3_600_000_000_000
_MOST_HOURS = 10_000

footage = typer.Typer(no_args_is_help=True)
footage.command("protect")(protect)
footage.command("unprotect")(unprotect)
footage.command("erase-person")(erase_person)
footage.command("log")(log)
footage.command("export")(export)
footage.command("bundle")(bundle)


@footage.command("cameras")
def cameras(
    camera: Cameras = None, start: From = None, end: To = None, config: Config = None, folder: Folder = None
) -> None:
    """What is recorded of which camera, from when to when, and where there are gaps."""
    with opened(config, folder) as (archive, _):
        from_ns, to_ns = span(start, end)
        wanted = known_cameras(archive, camera) or tuple(archive.cameras())
        if not wanted:
            typer.echo("nothing is recorded")
        for name in wanted:
            for line in text.recorded(name, archive.segments(name, from_ns, to_ns)):
                typer.echo(line)


@footage.command("timeline")
def timeline(
    camera: Cameras = None,
    start: From = "-24h",
    end: To = "now",
    config: Config = None,
    folder: Folder = None,
) -> None:
    """How many faces were seen, hour by hour."""
    with opened(config, folder) as (archive, _):
        from_ns, to_ns = span(start, end)
        assert from_ns is not None and to_ns is not None
        from_ns = full_hour(from_ns)
        hours = -(-(to_ns - from_ns) // _HOUR_NS)
        if hours > _MOST_HOURS:
            fail(f"--from: must lie at most {_MOST_HOURS} hours before --to, found {hours}")
        wanted = known_cameras(archive, camera)
        for line in text.histogram(
            archive.timeline(from_ns, from_ns + hours * _HOUR_NS, wanted, hours), _HOUR_NS
        ):
            typer.echo(line)


@footage.command("sightings")
def sightings(
    person: Annotated[str | None, typer.Option(help="Decided to be this person.")] = None,
    unknown: Annotated[bool, typer.Option(help="Decided to be nobody enrolled.")] = False,
    mask: Annotated[
        list[MaskState] | None, typer.Option(help="With this mask state; may be repeated.")
    ] = None,
    camera: Cameras = None,
    start: From = None,
    end: To = None,
    limit: Limit = 100,
    as_json: AsJson = False,
    config: Config = None,
    folder: Folder = None,
) -> None:
    """Who was seen, newest first."""
    if person is not None and unknown:
        fail("--unknown: means nobody enrolled, so it does not go with --person")
    with opened(config, folder) as (archive, _):
        from_ns, to_ns = span(start, end)
        query = Query(
            from_ns=from_ns,
            to_ns=to_ns,
            cameras=known_cameras(archive, camera),
            person=None if person is None else clean_name(person),
            decision="nobody" if unknown else None,
            masks=tuple(mask or ()),
            limit=limit + 1,
        )
        found = archive.sightings(query)
        if as_json:
            typer.echo(json.dumps([text.sighting_values(each) for each in found[:limit]], indent=2))
            return
        text.print_sightings(found[:limit])
        if len(found) > limit:
            typer.echo(f"there are more than {limit}: narrow it, or ask for more with --limit")


@footage.command("like")
def like(
    picture: Annotated[Path, typer.Argument(help="A photograph; the largest face on it is searched for.")],
    camera: Cameras = None,
    start: From = None,
    end: To = None,
    limit: Limit = 20,
    config: Config = None,
    folder: Folder = None,
) -> None:
    """Who looks like this: sightings by their likeness to a face. A likeness is no identification."""
    with opened(config, folder) as (archive, settings):
        from tools.footage.likeness import (  # networks: loaded only where they are needed
            Likeness,
            measure_face,
        )

        from_ns, to_ns = span(start, end)
        query = Query(from_ns=from_ns, to_ns=to_ns, cameras=known_cameras(archive, camera))
        try:
            face = measure_face(picture, settings)
        except Refused as refusal:
            fail(f"{picture}: {refusal}")
        for note in face.notes:
            typer.echo(f"note: {note}", err=True)
        found = archive.like(face.embedding, face.space, query, limit)
        prior = settings.recognition.prior_enrolled
        likeness = Likeness(face.space, settings.recognition)
        text.print_likeness(
            [
                (
                    each,
                    score,
                    likeness.probability(score, each.masked or face.masked, each.masked and face.masked),
                )
                for each, score in found
            ],
            prior,
        )


@footage.command("show")
def show(
    identity: Annotated[int, typer.Argument(metavar="ID", help="Number of a sighting.")],
    out: Annotated[Path | None, typer.Option(help="Write its pictures into this folder.")] = None,
    config: Config = None,
    folder: Folder = None,
) -> None:
    """Everything about one sighting; with --out its pictures too."""
    with opened(config, folder) as (archive, _):
        found = archive.sighting(identity)
        for line in text.whole(found):
            typer.echo(line)
        for kept in archive.events(found.first_ns, found.last_ns + 1, (found.camera,), limit=1000):
            event = readable(kept.data) if kept.run == found.run else None
            if event and (int(event.sighting.epoch), event.sighting.track) == (found.epoch, found.track):
                typer.echo(f"event {kept.id}: {event.text}")
        pictures = text.pictures(found)
        if out is None:
            typer.echo(
                f"pictures: {', '.join(pictures) or 'none'}"
                + (" (see them with --out DIR)" if pictures else "")
            )
            return
        _write(pictures, out)


@footage.command("events")
def events(
    rule: Annotated[str | None, typer.Option(help="Of this rule only.")] = None,
    camera: Cameras = None,
    start: From = None,
    end: To = None,
    limit: Limit = 100,
    as_json: Annotated[
        bool, typer.Option("--json", help="The whole documents, as receivers get them.")
    ] = False,
    as_schema: Annotated[
        bool, typer.Option("--schema", help="Only the JSON Schema of the documents.")
    ] = False,
    config: Config = None,
    folder: Folder = None,
) -> None:
    """Which rules were met, newest first."""
    if as_schema:
        typer.echo(json.dumps(schema(), indent=2))
        return
    with opened(config, folder) as (archive, _):
        from_ns, to_ns = span(start, end)
        found = archive.events(from_ns, to_ns, known_cameras(archive, camera), rule, limit=limit)
        archive.log(Action.SEARCHED, "", f"{len(found)} events were listed")
        if as_json:
            typer.echo(json.dumps([json.loads(kept.data) for kept in found if kept.data], indent=2))
            return
        for kept in found:
            event = readable(kept.data)
            why = "of a newer release" if kept.data else "somebody in it was erased"
            unread = f"({why}), at camera {kept.camera}, {show_time(kept.at_ns)}"
            typer.echo(f"{kept.id}  {event.text if event else unread}")
        if not found:
            typer.echo("no event")


@footage.command("deliveries")
def deliveries(
    everything: Annotated[
        bool, typer.Option("--all", help="Those that were delivered too, one by one.")
    ] = False,
    config: Config = None,
    folder: Folder = None,
) -> None:
    """What was delivered to which receiver, what still waits, and why."""
    with opened(config, folder) as (archive, _):
        for line in text.delivered(archive.deliveries(), everything):
            typer.echo(line)


def _write(pictures: dict[str, bytes], folder: Path) -> None:
    """Files that only their owner can read; one that is there with other content stays."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in pictures.items():
            path = folder / name
            if path.exists() and path.read_bytes() != data:
                fail(f"{path}: is there already and holds something else; nothing was overwritten")
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
            typer.echo(f"written: {path}")
    except OSError as error:
        fail(f"{folder}: cannot be written: {error.strerror}")
