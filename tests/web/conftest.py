import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from starlette.testclient import TestClient

sys.path.append(str(Path(__file__).parents[1] / "display"))
sys.path.append(str(Path(__file__).parent))

from offices import RunningServer, signed_in
from offices import settings as make_settings

from stream.archive.archive import Archive
from stream.config import Settings
from stream.web.app import create_app
from stream.web.office import Office
from stream.web.opening import open_office


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Cameras "gate" and "yard"; gallery, archive and accounts in a temporary folder."""
    return make_settings(tmp_path)


@pytest.fixture
def opened(settings: Settings, tmp_path: Path) -> Iterator[tuple[Office, object]]:
    """The office and its doorkeeper, with an empty archive."""
    with Archive.open(settings.recording.folder, write=True):
        pass
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    office, keeper = open_office(settings, run)
    with closing(office), closing(keeper):
        yield office, keeper


@pytest.fixture
def office(opened: tuple[Office, object]) -> Office:
    """The office alone."""
    return opened[0]


@pytest.fixture
def anonymous(opened: tuple[Office, object]) -> Iterator[TestClient]:
    """Somebody who has not signed in; sends the header of the pages."""
    with TestClient(
        create_app(*opened), "http://127.0.0.1", headers={"x-unvizard": "page"}, follow_redirects=False
    ) as made:
        yield made


@pytest.fixture
def client(opened: tuple[Office, object]) -> Iterator[Callable[..., TestClient]]:
    """Makes clients by role="administrator", cameras=None: somebody signed in, whose account is named as the role."""
    app = create_app(*opened)
    with ExitStack() as stack:

        def make(role: str = "administrator", cameras: tuple[str, ...] | None = None) -> TestClient:
            made = TestClient(app, "http://127.0.0.1", headers={"x-unvizard": "page"}, follow_redirects=False)
            cookie, token = signed_in(*opened, role, cameras)
            made.cookies.set(cookie, token)
            return stack.enter_context(made)

        yield make


@pytest.fixture
def server(opened: tuple[Office, object]) -> Iterator[RunningServer]:
    """The application on a real port. server.url; server.open(browser, path, role) opens a page signed in."""
    with closing(RunningServer(*opened)) as made:
        yield made
