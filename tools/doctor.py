"""`unvizard doctor`: whether this machine and these settings will do, and what to do where they will not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

import stream
from stream.capture.address import redact
from stream.config import Settings
from tools.doctor_checks.accelerators import accelerators
from tools.doctor_checks.cameras import cameras
from tools.doctor_checks.clock import clock
from tools.doctor_checks.configuration import configuration
from tools.doctor_checks.finding import Check, Finding, Level, warning
from tools.doctor_checks.network import network
from tools.doctor_checks.packages import packages
from tools.doctor_checks.processor import memory, processor
from tools.doctor_checks.storage import storage

AREAS: dict[str, Check] = {
    "Packages": packages,
    "Processor": processor,
    "Memory": memory,
    "Accelerators": accelerators,
    "Clock": clock,
    "Disks": storage,
    "Network": network,
    "Cameras": cameras,
}
_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.FAULT: "bold red"}


def doctor(
    config: Annotated[
        Path | None, typer.Option(help="Look at these settings (YAML), and at their cameras.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Look at this machine, and say what is well, what is not, and what to do about it.

    Ends with 1 when there is a fault: something that the settings ask for does not work here.
    """
    settings, about = configuration(config)
    told = Console(stderr=True)
    found = {"Settings": about}
    with told.status("") as status:
        for area, check in AREAS.items():
            status.update(f"Looking at {area.lower()}")
            found[area] = list(_looked_at(area, check, settings))
    counted = Counter(finding.level for findings in found.values() for finding in findings)
    if as_json:
        typer.echo(json.dumps(_document(found, counted), indent=1))
    else:
        _show(found, counted)
    if counted[Level.FAULT]:
        raise typer.Exit(1)


def _looked_at(area: str, check: Check, settings: Settings) -> Iterator[Finding]:
    """The findings of an area; what cannot be looked at is a finding too, and the other areas go on."""
    try:
        yield from check(settings)
    except Exception as error:  # whatever this machine has in store
        advice = "tell us: the other areas were looked at all the same"
        yield warning(
            area.lower(), redact(f"could not be looked at: {type(error).__name__}: {error}"), advice
        )


def _document(found: dict[str, list[Finding]], counted: Counter[Level]) -> dict[str, object]:
    verdict = next((level for level in reversed(Level) if counted[level]), Level.OK)
    return {
        "version": stream.__version__,
        "verdict": verdict.value,
        "counts": {level.value: counted[level] for level in Level},
        "findings": [
            {
                "area": area,
                "check": finding.check,
                "level": finding.level.value,
                "found": finding.found,
                "remedy": finding.remedy,
            }
            for area, findings in found.items()
            for finding in findings
        ],
    }


def _show(found: dict[str, list[Finding]], counted: Counter[Level]) -> None:
    console = Console(highlight=False)
    width = max(len(finding.check) for findings in found.values() for finding in findings)
    for area, findings in found.items():
        console.print(Text(area, "bold"))
        for finding in findings:
            line = Text.assemble(
                "  ",
                (f"{finding.level:8}", _COLOURS[finding.level]),
                (f"{finding.check:{width}}  ", ""),
                finding.found,
            )
            console.print(line, soft_wrap=not console.is_terminal)
            if finding.remedy:
                console.print(Text(f"{'':10}{'':{width}}  → {finding.remedy}", "cyan"), soft_wrap=True)
    levels = ", ".join(
        f"{counted[level]} {level}{'s' if level is not Level.OK and counted[level] != 1 else ''}"
        for level in Level
    )
    console.print(Text(levels, "bold"))
