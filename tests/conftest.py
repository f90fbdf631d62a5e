"""For all tests."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.browser import Browser, executable

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would every program that they start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A real Chromium; tests that need one are skipped where there is none."""
    if not executable():
        pytest.skip("no Chromium on this machine")
    made = Browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Where pictures for people are kept."""
    made = Path(__file__).parents[1] / "artefacts"
    made.mkdir(exist_ok=True)
    return made
