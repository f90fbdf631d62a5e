from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from producer import Producer, settings

from stream.display.stage import Overlay


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A run directory."""
    made = tmp_path / "run"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def produce(directory: Path) -> Iterator[Callable[..., Producer]]:
    """Makes producers of a camera in the run directory, and closes them."""
    with ExitStack() as stack:
        yield lambda camera, *size, **options: stack.enter_context(
            closing(Producer(directory, camera, *size, **options))
        )


@pytest.fixture
def start_overlay(directory: Path) -> Iterator[Callable[[str], Overlay]]:
    """Makes an overlay for the camera "gate" without its web server, and closes it; a new one replaces the old."""
    with ExitStack() as stack:

        def make(delivery: str) -> Overlay:
            stack.close()
            return stack.enter_context(closing(Overlay(settings("gate"), directory, delivery)))

        yield make
