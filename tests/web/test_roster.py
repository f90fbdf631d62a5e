"""The gallery as the pages keep it open."""

from engines.recognition.gallery import Gallery
from stream.web.roster import Roster


def test_reading_ahead_opens_a_gallery_makes_none_and_leaves_a_damaged_one_to_whoever_asks(tmp_path):
    missing = Roster(tmp_path / "missing.sqlite3")
    missing.read_ahead()
    assert not list(tmp_path.iterdir())
    path = tmp_path / "gallery.sqlite3"
    Gallery(path).close()
    roster = Roster(path)
    roster.read_ahead()
    assert roster._opened and roster.counts() == (0, 0)
    roster.close()
    path.write_bytes(b"no database" * 100)
    roster.read_ahead()
    assert roster._opened is None
    roster.close()
