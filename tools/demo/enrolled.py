"""The two people whom the demo enrols, from photographs that lie beside it."""

from __future__ import annotations

from pathlib import Path

from engines.recognition.gallery import Gallery
from stream.config import Settings
from tools.people import open_enroller

PICTURES = Path(__file__).parent / "pictures"
ENROLLED = {"Barack Obama": "obama.jpg", "Joe Biden": "biden.jpg"}
"""The clip shows Mr Obama from another photograph. Of Mr Biden there is only one; the README says so."""
_GROUND = "demonstration with public-domain photographs of public figures"


def enrol(settings: Settings) -> None:
    """Put them into the gallery of these settings. Raises what enrolment raises."""
    enroller = open_enroller(settings)
    with Gallery(settings.recognition.gallery) as gallery:
        for name, picture in ENROLLED.items():
            gallery.add(name, enroller.template(PICTURES / picture), _GROUND, "unvizard demo")
