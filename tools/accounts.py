"""`unvizard accounts`: who may sign in to the pages, API keys, and the log. Works beside a running pipeline too."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from stream.config import ConfigError, Settings, load
from stream.web import passwords
from stream.web.account import Account, Role
from stream.web.accounts import AccountError, said
from stream.web.journal import Filter
from stream.web.journal_page import verified
from stream.web.office import Office
from stream.web.sessions import ONCE_MINUTES
from stream.web.store import StoreError

accounts = typer.Typer(no_args_is_help=True)
keys = typer.Typer(no_args_is_help=True)
accounts.add_typer(keys, name="keys", help="API keys for programs.")

Config = Annotated[Path | None, typer.Option(help="Settings in YAML; says where the accounts are.")]
Name = Annotated[str, typer.Argument(help="The account's name.")]
Wanted = Annotated[Role, typer.Option(help="What it may do; each role may do what the ones before it may.")]
Cameras = Annotated[
    list[str] | None,
    typer.Option("--camera", help="Only this camera; several times for several. All by default."),
]
Ask = Annotated[bool, typer.Option(help="Ask for the password instead of making one.")]


@accounts.command("add")
def add(name: Name, role: Wanted, camera: Cameras = None, ask: Ask = False, config: Config = None) -> None:
    """Make an account, and print its password."""
    with _office(config) as office:
        password = _password(ask)
        office.accounts.add(name, role, camera or None, password, _actor(), generated=not ask)
        typer.echo(f"{name}: {said(role, camera or None)}")
        _tell(password, ask)


@accounts.command("list")
def show(config: Config = None) -> None:
    """List the accounts."""
    with _office(config) as office:
        found = office.accounts.all()
    if not found:
        typer.echo("there is no account; the first start makes an administrator")
        return
    table = Table("name", "role", "cameras", "since", "password")
    for each in found:
        cameras, own = _cameras(each.account.cameras), "as given" if each.must_change else "own"
        made = "as generated" if each.generated else own
        table.add_row(each.account.name, each.account.role, cameras, _when(each.since_wall_ns), made)
    _print(table)


@accounts.command("change")
def change(
    name: Name,
    role: Annotated[Role | None, typer.Option(help="What it may do from now on.")] = None,
    camera: Annotated[
        list[str] | None, typer.Option(help="Only this camera from now on; several times for several.")
    ] = None,
    all_cameras: Annotated[bool, typer.Option("--all-cameras", help="All cameras from now on.")] = False,
    config: Config = None,
) -> None:
    """Give an account another role or other cameras; it must sign in again."""
    if camera and all_cameras:
        _fail("--all-cameras: does not go with --camera")
    with _office(config) as office:
        old = office.accounts.known(name).account
        cameras = None if all_cameras else camera or old.cameras
        changed = office.accounts.change(name, role or old.role, cameras, _actor()).account
        typer.echo(f"{changed.name}: {said(changed.role, changed.cameras)}")


@accounts.command("password")
def password(name: Name, ask: Ask = False, config: Config = None) -> None:
    """Give an account another password, and print it; it must sign in again."""
    with _office(config) as office:
        made = _password(ask)
        office.accounts.set_password(name, made, _actor(), generated=not ask)
        _tell(made, ask)


@accounts.command("remove")
def remove(name: Name, config: Config = None) -> None:
    """Remove an account with its sessions and keys. What it did stays in the log."""
    with _office(config) as office:
        known = office.accounts.known(name).account.name
        office.accounts.remove(known, _actor())
        typer.echo(f"{known}: removed")


@accounts.command("link")
def link(name: Name, config: Config = None) -> None:
    """Print a link that signs an account in, once, within ten minutes: for who has lost a password."""
    with _office(config) as office:
        found = office.accounts.known(name)
        token = office.sessions.link_token(found.id)
        office.journal.write(_actor(), "link made", found.account.name)
        display = office.settings.display
        host = f"[{display.host}]" if ":" in display.host else display.host
        scheme = "https" if display.tls else "http"
        typer.echo(f"{scheme}://{host}:{display.port}/sign-in#once={token}")
        typer.echo(f"It works once, within {ONCE_MINUTES} minutes.", err=True)


@accounts.command("log")
def log(
    verify: Annotated[
        bool, typer.Option("--verify", help="Check that no line of any log was altered, left out or added.")
    ] = False,
    last: Annotated[int, typer.Option(min=1, help="How many lines.")] = 40,
    config: Config = None,
) -> None:
    """Show the last lines of the log of the pages, or check the logs of pages, gallery and recordings."""
    with _office(config) as office:
        if verify:
            found = verified(office, Account(_actor(), Role.ADMINISTRATOR))
            for each in found:
                typer.echo(f"{each['log']}: {each['problem'] or '{} lines, sound'.format(each['lines'])}")
            if any(each["problem"] for each in found):
                raise typer.Exit(1)
            return
        lines = office.journal.entries(Filter(), limit=last)
    table = Table("line", "when", "who", "did", "what", "person")
    for line in reversed(lines):
        when = _when(line.wall_ns, "%Y-%m-%d %H:%M:%S UTC")
        table.add_row(str(line.sequence), when, line.actor, line.action, line.detail, line.person[:8])
    _print(table)


@keys.command("add")
def add_key(
    label: Annotated[str, typer.Argument(help="What the key is for.")],
    account: Annotated[str, typer.Option(help="In whose name the key acts, and never with more rights.")],
    role: Wanted = Role.VIEWER,
    camera: Cameras = None,
    config: Config = None,
) -> None:
    """Make an API key, and print it."""
    with _office(config) as office:
        owner = office.accounts.known(account)
        _, token = office.keys.add(label, owner, role, camera or None, _actor())
        typer.echo(token)
        typer.echo("Keep it: it cannot be shown again. Sent as Authorization: Bearer KEY.", err=True)


@keys.command("list")
def show_keys(config: Config = None) -> None:
    """List the API keys."""
    with _office(config) as office:
        found = office.keys.all()
    table = Table("id", "label", "acts for", "role", "cameras", "last used")
    for key in found:
        used = _when(key.used_wall_ns) if key.used_wall_ns else "never"
        table.add_row(key.id, key.label, key.owner, key.role, _cameras(key.cameras), used)
    _print(table)


@keys.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")], config: Config = None
) -> None:
    """End an API key."""
    with _office(config) as office:
        office.keys.revoke(key, _actor())
        typer.echo(f"{key}: revoked")


@contextmanager
def _office(config: Path | None) -> Iterator[Office]:
    """The office without a run. Ends the command with one line for everything that can go wrong."""
    try:
        settings = load(config) if config else Settings()
        with TemporaryDirectory() as nowhere, Office(settings, Path(nowhere)) as office:
            yield office
    except (AccountError, ConfigError, StoreError) as error:
        _fail(str(error))


def _password(ask: bool) -> str:
    if not ask:
        return passwords.generate()
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")


def _tell(password: str, asked: bool) -> None:
    if not asked:
        typer.echo(f"Password, shown this once and to be changed at the first sign-in: {password}")


def _print(table: Table) -> None:
    Console(markup=False, highlight=False).print(table)


def _cameras(names: frozenset[str] | None) -> str:
    return "all" if names is None else ", ".join(sorted(names)) or "none"


def _when(wall_ns: int, form: str = "%Y-%m-%d %H:%M UTC") -> str:
    return datetime.fromtimestamp(wall_ns / 1e9, UTC).strftime(form)


def _actor() -> str:
    """Who is at the command line, told apart from an account of the same name."""
    try:
        return f"command line: {getpass.getuser()}"
    except (KeyError, OSError):
        return "command line"


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
