"""Asks people whether pictures are photographs or reconstructions: 22 in random order, a point for each right answer.

    python -m tools.human_study FACES            # photographs of faces: masks are drawn on half and painted out again
    python -m tools.human_study --results        # what was found so far
    python -m tools.human_study --export answers.csv

The first serves one page on this machine. Photographs and reconstructions are prepared once, from different people,
through the same alignment, size and encoding, so that nothing but the painted face tells them apart. Answers are kept
in SQLite the moment they are given. The pictures of a study carry no visible mark, since that is what is asked; every
answer is followed by the truth, and the watermark stays in the pixels of the reconstructions.
"""

from __future__ import annotations

import json
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.progress import track

from engines.alignment import FACE_SIZE, face_transform, warp
from engines.backends import open_engine
from engines.detection.mtcnn import MTCNN
from engines.masks.synthesis import draw_mask
from engines.models import prepare
from engines.unmasking import watermark
from engines.unmasking.generator import Unmasker
from stream.config import Engines
from stream.display.server import Server, address, listen
from tools.study.store import Store
from tools.study.web import SHOWN, create_app
from tools.unmasking.cases import find_faces

DEFAULT_STORE = Path("runs/study/answers.sqlite3")
_MOST = 400
console = Console()


def prepare_pictures(images: Path, folder: Path, seed: int) -> None:
    """Photographs in folder/real, reconstructions of other people in folder/fake; nothing when they are there."""
    if (folder / "whole").is_file():
        return
    prepared = prepare(Engines().cache, ("pnet", "rnet", "onet", "unmask"))
    engines = {name: open_engine(model, "auto", threads=1) for name, model in prepared.items()}
    faces, _ = find_faces(images, MTCNN(engines, 40))
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(faces))[:_MOST]
    unmasker = Unmasker(engines["unmask"])
    for kind in ("real", "fake"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for place, number in enumerate(track(order, "preparing pictures", console=console)):
        face = faces[int(number)]
        picture = face.read()
        fake = place % 2 == 1
        if fake:
            picture, _ = draw_mask(picture, face.landmarks, rng)
        crop = warp(picture, face_transform(face.landmarks), FACE_SIZE)
        if fake:
            crop = unmasker.unmask(crop[None]).pictures[0]
        shown = np.asarray(cv2.resize(crop, (SHOWN, SHOWN), interpolation=cv2.INTER_CUBIC), np.uint8)
        shown = watermark.embed(shown) if fake else shown
        cv2.imwrite(
            str(folder / ("fake" if fake else "real") / f"{place:04d}.png"),
            cv2.cvtColor(shown, cv2.COLOR_RGB2BGR),
        )
    (folder / "whole").touch()


def main(
    images: Annotated[
        Path | None, typer.Argument(help="Folder of photographs of faces without masks")
    ] = None,
    store: Annotated[Path, typer.Option(help="Where answers are kept")] = DEFAULT_STORE,
    pictures: Annotated[int, typer.Option(min=2, max=200, help="Pictures of a sitting")] = 22,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one")] = 0,
    results: Annotated[bool, typer.Option("--results", help="Only print what was found so far")] = False,
    export: Annotated[Path | None, typer.Option(help="Only write all answers to this CSV file")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of people and masks")] = 0,
) -> None:
    """Serves the study's page, or tells what was found."""
    if (results or export) and not store.is_file():
        raise typer.BadParameter(f"--store: must be a study that was begun, found no file {store}")
    if not (results or export) and (images is None or not images.is_dir()):
        raise typer.BadParameter(f"IMAGES: must be a folder of photographs, found {images}")
    with closing(Store(store)) as kept:
        if export:
            export.write_text(kept.export(), encoding="utf-8")
        if results:
            print(json.dumps(kept.results(), indent=1))
        if results or export or images is None:
            return
        folder = store.parent / "pictures"
        try:
            prepare_pictures(images, folder, seed)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        real, fake = (sorted((folder / kind).glob("*.png")) for kind in ("real", "fake"))
        if min(len(real), len(fake)) < pictures:
            raise typer.BadParameter(
                f"IMAGES: must hold at least {2 * pictures} faces for {pictures} pictures a sitting, "
                f"found {len(real) + len(fake)}"
            )
        listener = listen("127.0.0.1", port)
        server = Server(create_app(real, fake, pictures, kept), listener)
        server.start()
        console.print(f"The study: [bold]{address(listener)}[/bold]   (Ctrl-C ends it)")
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)
        server.close()


if __name__ == "__main__":
    typer.run(main)
