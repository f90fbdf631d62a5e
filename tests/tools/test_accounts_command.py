"""`unvizard accounts` from the command line."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from engines.recognition.gallery import Gallery
from stream.config import Settings
from stream.web.account import Role
from stream.web.accounts import Accounts
from stream.web.journal import Journal
from stream.web.keys import ApiKeys
from stream.web.sessions import Sessions
from stream.web.store import Store
from tools.accounts import accounts

Command = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Runs `accounts …` on a store of the test's own."""
    config = tmp_path / "site.yaml"
    config.write_text(
        f"accounts: {{store: {tmp_path}/accounts.sqlite3}}\nrecognition: {{gallery: {tmp_path}/gallery.sqlite3}}\n"
        f"recording: {{folder: {tmp_path}/recordings}}\n"
    )

    def run(*words: str, typed: str = "") -> Result:
        runner = CliRunner(env={"COLUMNS": "200"})
        return runner.invoke(accounts, [*words, "--config", str(config)], input=typed)

    return run


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "accounts.sqlite3"


def rows(result: Result) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in result.stdout.splitlines()
        if line.startswith("│")
    ]


def test_an_account_is_made_changed_and_removed(command: Command, store: Path) -> None:
    assert command("list").stdout == "there is no account; the first start makes an administrator\n"
    root = command("add", "root", "--role", "administrator")
    assert root.exit_code == 0
    added = command(
        "add", "Ada", "--role", "viewer", "--camera", "gate", "--ask", typed="violet anchor seventeen\n"
    )
    assert (added.exit_code, added.stdout) == (0, "Ada: viewer, cameras: gate\n")
    with Store(store) as opened:
        book = Accounts(opened, Journal(opened))
        assert book.check("root", root.stdout.split()[-1])
        assert book.check("Ada", "violet anchor seventeen")
    changed = command("change", "ada", "--role", "reviewer")
    assert changed.stdout == "Ada: reviewer, cameras: gate\n"
    assert command("change", "ada", "--all-cameras").stdout == "Ada: reviewer, all cameras\n"
    listed = rows(command("list"))
    assert [[row[0], row[1], row[2], row[4]] for row in listed] == [
        ["Ada", "reviewer", "all", "as given"],
        ["root", "administrator", "all", "as generated"],
    ]
    made = command("password", "ada")
    with Store(store) as opened:
        assert Accounts(opened, Journal(opened)).check("Ada", made.stdout.split()[-1])
    assert command("remove", "ada").stdout == "Ada: removed\n"
    refused = command("remove", "root")
    assert (refused.exit_code, refused.stderr) == (
        1,
        "role: there must be an administrator left, and 'root' is the only one\n",
    )


def test_what_cannot_be_is_one_sentence(command: Command) -> None:
    for words, sentence in (
        (("password", "nobody"), "name: must be that of an account, found 'nobody'"),
        (("link", "nobody"), "name: must be that of an account, found 'nobody'"),
        (("keys", "add", "x", "--account", "nobody"), "name: must be that of an account, found 'nobody'"),
        (("keys", "revoke", "77"), "key: must be the id of one, found '77'"),
        (("add", "Ada", "--role", "viewer", "--ask"), "password: must have 12 to 256 characters, found 0"),
        (("change", "Ada", "--camera", "gate", "--all-cameras"), "--all-cameras: does not go with --camera"),
    ):
        result = command(*words)
        assert (result.exit_code, result.stderr) == (1, sentence + "\n"), words


def test_a_link_and_a_key_made_here_work(command: Command, store: Path) -> None:
    command("add", "root", "--role", "administrator")
    address, token = command("link", "root").stdout.strip().split("#once=")
    assert address == "http://127.0.0.1:8300/sign-in"
    key = command("keys", "add", "backup", "--account", "root", "--role", "operator").stdout.strip()
    with Store(store) as opened:
        assert Sessions(opened, Settings().accounts).redeem(token)
        known = ApiKeys(opened, Journal(opened)).account(key)
        assert known and known[0].role is Role.OPERATOR and known[0].name == "root (key backup)"
    (row,) = rows(command("keys", "list"))
    assert row[1:] == ["backup", "root", "operator", "all", "never"]
    assert command("keys", "revoke", row[0]).exit_code == 0
    assert rows(command("keys", "list")) == []


def test_the_log_says_what_was_done_here_and_when_it_was_altered(command: Command, store: Path) -> None:
    command("add", "root", "--role", "administrator")
    command("link", "root")
    lines = rows(command("log"))
    assert [row[3:5] for row in lines] == [
        ["account added", "root: administrator, all cameras"],
        ["link made", "root"],
    ]
    assert all(row[2].startswith("command line: ") for row in lines)
    with Gallery(store.with_name("gallery.sqlite3")):
        pass
    sound = command("log", "--verify")
    assert (sound.exit_code, sound.stdout) == (0, "pages: 2 lines, sound\ngallery: 0 lines, sound\n")
    connection = sqlite3.connect(store)
    connection.execute("DROP TRIGGER audit_holds")
    connection.execute("UPDATE audit SET detail = 'root: viewer' WHERE sequence = 1")
    connection.commit()
    altered = command("log", "--verify")
    assert altered.exit_code == 1
    assert altered.stdout.splitlines()[0] == "pages: audit log: line 1 or the one before it was altered"
