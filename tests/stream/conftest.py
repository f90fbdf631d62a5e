import pytest
from recorded_run import Recorded, record


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """One real recording for all tests; who changes it works on a copy."""
    return record(tmp_path_factory.mktemp("recorded"))
