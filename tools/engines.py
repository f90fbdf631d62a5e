"""`unvizard engines`: compile the networks ahead of time, see what is compiled, check it, throw it away."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engines.backends import EngineError, verify_engine
from engines.cache import leftovers
from engines.models import Model, ModelError
from engines.stock import Entry
from stream.config import ConfigError, Settings, load, parse
from stream.engine_list import engine_list, models_in_use, plain
from tools.engines_command.building import Begun, BuildFailed, Built
from tools.engines_command.building import build as build_engines
from tools.preparing import progress_bar

engines = typer.Typer(no_args_is_help=True)
console = Console(stderr=True)

Config = Annotated[Path | None, typer.Option(help="Settings in YAML; says where the cache is.")]

_INTERRUPTED = 130  # as a shell reports Ctrl-C


@engines.command("build")
def build(
    backend: Annotated[
        str | None,
        typer.Option(help="auto, tensorrt, torch, openvino or onnxruntime; the settings' without."),
    ] = None,
    precision: Annotated[str | None, typer.Option(help="fp32, fp16 or bf16; the settings' without.")] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="The cameras' picture size, for TensorRT; several for several.")
    ] = None,
    config: Config = None,
) -> None:
    """Compile every network of the pipeline, and try it against the reference, so that the next start is quick."""
    settings = _chosen(config, backend, precision)
    sizes = [_size(text) for text in size or ["1920x1080"]]
    out = Console()
    ready = 0
    try:
        with progress_bar(console) as bar:
            task = bar.add_task("Building engines", total=1.0)
            for said in build_engines(settings, sizes):
                match said:
                    case Begun(network, share):
                        bar.update(task, completed=share, description=f"Building {network}")
                    case Built():
                        ready += 1
                        _tell(out, said)
    except KeyboardInterrupt:
        console.print(f"cancelled: {ready} engines are ready and kept, nothing half made is left")
        raise typer.Exit(_INTERRUPTED) from None
    except BuildFailed as error:
        _fail(str(error), 1)
    out.print(f"{ready} engines ready in {settings.engines.cache}", highlight=False)


@engines.command("list")
def show(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False, config: Config = None
) -> None:
    """List the compiled engines: what each was made for, and what was found when it was tried."""
    settings = _chosen(config)
    entries = _stock(settings)
    found = [entry for entry in entries if entry.size or not entry.problem]
    if as_json:
        typer.echo(json.dumps([plain(entry) for entry in found], indent=1))
        return
    if not found:
        typer.echo(f"no engine is compiled in {settings.engines.cache}; run: unvizard engines build")
        return
    table = Table("network", "runs on", "device", "shapes", "size", "age", "tried", "used")
    for entry in found:
        if entry.key is None:
            what = (entry.path.name, "", "", "")
        else:
            key = entry.key
            version = f"{key.runtime.split('-')[0]} {key.precision}"
            what = (key.model_name, version, key.device.split(" [")[0], key.shapes if entry.size else "any")
        size = _megabytes(entry.size) if entry.size else "no file"
        table.add_row(*what, size, _age(time.time() - entry.made_s), _tried(entry), _use(entry))
    Console(markup=False, highlight=False).print(table)


@engines.command("verify")
def verify(config: Config = None) -> None:
    """Check every engine as a whole, and try each that runs here again. Ends with 1 when one does not do.

    What is not used is left for `clean`; one that the pipeline needs is compiled anew when it is opened, here too.
    """
    settings = _chosen(config)
    cache = settings.engines.cache
    models = _models(settings)
    bad, tried = 0, set()
    for entry in _stock(settings, thorough=True):
        name = entry.path.name
        if entry.problem:
            bad += 1
            typer.echo(f"{name}: will not be used: {entry.problem}")
            continue
        key = entry.key
        if key is None or key.model_sha256 == "":
            continue
        what = (key.model_sha256, entry.backend, key.precision)
        if what in tried:
            continue
        tried.add(what)
        model = next(model for model in models if model.sha256 == key.model_sha256)
        said = f"{key.model_name} on {key.runtime} in {key.precision}"
        try:
            verdict = verify_engine(model, entry.backend, key.precision, settings.engines.threads, cache)
        except (EngineError, ModelError) as error:
            bad += 1
            typer.echo(f"{said}: does not run: {error}")
            continue
        bad += not verdict.passed
        typer.echo(f"{said}: {'good' if verdict.passed else 'will not be used'}: {verdict}")
    if not bad and not tried:
        typer.echo(f"no engine is compiled in {cache}; run: unvizard engines build")
    if bad:
        raise typer.Exit(1)


@engines.command("clean")
def clean(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are good.")] = False,
    config: Config = None,
) -> None:
    """Throw away what is not used any more: damaged, of other versions, devices and weights, half written."""
    settings = _chosen(config)
    cache = settings.engines.cache
    gone = [
        (entry.path, entry.problem or "asked for")
        for entry in _stock(settings, thorough=not everything)
        if entry.problem or everything
    ]
    if everything:
        gone += [(path, "asked for") for path in cache.glob("*.verdict")]
    gone += [(path, "half written by a process that is gone") for path in leftovers(cache)]
    freed = 0
    for path, reason in dict(gone).items():
        freed += path.stat().st_size
        path.unlink()
        typer.echo(f"{path.name}: {reason}")
    typer.echo(f"{len(dict(gone))} files removed, {_megabytes(freed)} freed")


def _chosen(config: Path | None, backend: str | None = None, precision: str | None = None) -> Settings:
    """The settings with what the command line changes. Ends the command with a sentence on bad input."""
    try:
        settings = load(config) if config else Settings()
        data = settings.model_dump(mode="json")
        given = {"backend": backend, "precision": precision}
        data["engines"] |= {name: value for name, value in given.items() if value is not None}
        return parse(data, "command line" if backend or precision else str(config or "settings"))
    except ConfigError as error:
        _fail(str(error), 2)


def _models(settings: Settings) -> list[Model]:
    try:
        return models_in_use(settings)
    except ModelError as error:
        _fail(str(error), 1)


def _stock(settings: Settings, thorough: bool = False) -> list[Entry]:
    try:
        return engine_list(settings, thorough)
    except ModelError as error:
        _fail(str(error), 1)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{1,4})x([1-9]\d{1,4})", text)
    if not match:
        _fail(f"--size: must be WIDTHxHEIGHT in pixels, such as 1920x1080, found {text!r}", 2)
    return int(match[1]), int(match[2])


def _tell(out: Console, built: Built) -> None:
    out.print(f"{built.network}: {built.runs_on}, {built.seconds:.1f} s", highlight=False)
    for note in built.notes:
        out.print(f"  [yellow]{escape(note)}[/yellow]", highlight=False)


def _tried(entry: Entry) -> str:
    if entry.verdict is None:
        return "not yet" if entry.key and entry.key.model_sha256 else ""
    return f"{'passed' if entry.verdict.passed else 'refused'}: {entry.verdict}"


def _use(entry: Entry) -> str:
    if entry.problem:
        return f"no: {entry.problem}"
    if entry.verdict and not entry.verdict.passed:
        return "no: refused when it was tried"
    return f"yes; the one before was not used ({entry.instead_of})" if entry.instead_of else "yes"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _fail(message: str, code: int) -> NoReturn:
    console.print(f"[red]{escape(message)}[/red]", highlight=False)
    raise typer.Exit(code)
