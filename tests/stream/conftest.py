import pytest
from recorded_run import Recorded, record

from engines.recognition.calibration import Calibration
from engines.recognition.gallery import Gallery
from engines.recognition.matcher import Matcher
from stream.config import parse
from stream.networks import Networks
from tools.demo.enrolled import enrol


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """One real recording for all tests; who changes it works on a copy."""
    return record(tmp_path_factory.mktemp("recorded"))


@pytest.fixture(scope="module")
def matcher(networks: Networks, tmp_path_factory: pytest.TempPathFactory) -> Matcher:
    """Of the demo's people, as the networks of the test's own file see them."""
    path = tmp_path_factory.mktemp("gallery") / "gallery.sqlite3"
    enrol(parse({"recognition": {"gallery": str(path)}}, "test"))
    with Gallery(path) as gallery:
        snapshot = gallery.load(networks.evidence.space, networks.evidence.views_space)
    return Matcher(snapshot, Calibration.load(), 0.5, networks.engines["unmask"].model_sha256)
