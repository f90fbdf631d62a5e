"""What programs get: a description that holds for every route, and a client that does a day's work with a key."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from offices import RunningServer
from starlette.testclient import TestClient

from stream.config import Settings
from stream.display import stage as overlay
from stream.display.server import OVERLAY_SOCKET
from stream.web.account import Role
from stream.web.office import Office
from stream.web.permissions import NEEDED
from tools.client_example import Client, Refused

sys.path.append(str(Path(__file__).parents[1] / "stream"))

from evidence_helpers import PERSON, fill, make_clip

from engines.signing import SigningKey
from tools.browser import until

PICTURES = Path(__file__).parents[2] / "tools" / "demo" / "pictures"


@pytest.fixture
def key(office: Office, client: Callable[..., TestClient]) -> Callable[..., str]:
    """Makes API keys of an administrator, with no more rights than a role, and cameras, have."""
    client("administrator")
    owner = office.accounts.find("administrator")
    return lambda role, cameras=None: office.keys.add(
        f"{role} {cameras}", owner, Role(role), cameras, "test"
    )[1]


@pytest.fixture
def live(settings: Settings, office: Office) -> Iterator[None]:
    """The overlay of a run whose cameras have not sent anything."""
    stop = threading.Event()
    thread = threading.Thread(
        target=overlay.run, args=(settings, office.directory, "newest", None, None, stop), daemon=True
    )
    thread.start()
    until((office.directory / OVERLAY_SOCKET).exists, "the overlay's socket")
    yield
    stop.set()
    thread.join(10)


def test_the_description_names_every_route_for_programs_with_its_role(
    client: Callable[..., TestClient],
) -> None:
    document = client("viewer").get("/api/openapi.json").json()
    described = {
        f"{method.upper()} {path}": operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    wanted = {
        route: role
        for route, role in NEEDED.items()
        if route.partition(" ")[2].startswith(("/api/", "/healthz", "/readyz", "/metrics"))
        and not route.partition(" ")[2].startswith("/api/sign-in")
    }
    assert {route: operation["x-role"] for route, operation in described.items()} == {
        route: role and role.value for route, role in wanted.items()
    }
    assert all(operation["security"] for route, operation in described.items() if wanted[route])
    assert described["GET /readyz"]["security"] == []
    assert "Change" in document["components"]["schemas"]
    assert json.dumps(document).count("$ref") > 10


def test_a_client_with_a_key_lists_enrols_and_fetches_a_bundle(
    server: RunningServer, office: Office, key: Callable[..., str], live: None, tmp_path: Path
) -> None:
    signing = SigningKey.open(office.settings.signing.key)
    sighting = fill(office.settings.recording.folder, make_clip(), signing)
    with Client(server.url, key("reviewer")) as program:
        assert [camera["name"] for camera in program.cameras()] == ["gate", "yard"]
        assert list(program.people()) == []
        done = program.enrol("Barack Obama", "consent", PICTURES / "obama.jpg", PICTURES / "obama3.jpg")
        assert done["person"]["pictures"] == 2 and done["refused"] == []
        assert [person["name"] for person in program.people("obama")] == ["Barack Obama"]
        assert [(each["id"], each["person"]) for each in program.sightings()] == [(sighting, PERSON)]
        program.bundle(sighting, "request 2026-118", tmp_path / "bundle.zip")
        with pytest.raises(Refused, match="name: must"):
            program.enrol("", "consent", PICTURES / "biden.jpg")
    verified = subprocess.run(
        [sys.executable, "-m", "tools.cli", "verify", str(tmp_path / "bundle.zip")],
        capture_output=True,
        check=False,
        text=True,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    told = subprocess.run(
        [sys.executable, "-m", "tools.client_example", server.url, "--key", key("reviewer", ("gate",))],
        capture_output=True,
        check=False,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == ["gate: connecting, 0.0 pictures a second", "Barack Obama: 2 pictures"]


def test_a_key_may_do_no_more_than_its_role(server: RunningServer, key: Callable[..., str]) -> None:
    with (
        Client(server.url, key("viewer")) as program,
        pytest.raises(Refused, match="needs the role operator"),
    ):
        list(program.people())
    with Client(server.url, "unvizard_none") as nobody, pytest.raises(Refused, match="sign in first"):
        nobody.cameras()
