from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, executable


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A run directory."""
    made = tmp_path / "run"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not executable():
        pytest.skip("no Chromium on this machine")
    made = Browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Where pictures for people are kept."""
    made = Path(__file__).parents[2] / "artefacts"
    made.mkdir(exist_ok=True)
    return made
