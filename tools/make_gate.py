"""Makes what engines are tried on before they are used: inputs and the outputs of torch in float32.

    python -m tools.make_gate

To be run when a network was trained or added (engines/gate/rules.py has a line for each). The pictures are the
demonstration's; masks are drawn on some of their faces. Same pictures and weights, same files.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from engines.alignment import FACE_SIZE, RECOGNITION_SIZE, face_transform, recognition_transform, warp
from engines.backends import open_engine
from engines.cache import write_atomically
from engines.detection.mtcnn import MTCNN
from engines.faces import Faces
from engines.gate.references import FOLDER, SCENE, computed, inputs_file, inputs_for
from engines.masks.state import CROP_SIZE
from engines.masks.state import crop as mask_crop
from engines.masks.synthesis import Wearing, draw_mask
from engines.models import NETWORKS, WEIGHTS, Shipped, file_sha256, prepare
from stream.config import Engines

PICTURES = Path(__file__).parent / "demo" / "pictures"
_TILE = 64  # pixels of the scene that each picture gets
_CLOCK = (1980, 1, 1, 0, 0, 0)  # the files hang on their content alone

Picture = NDArray[np.uint8]


def make_inputs(detector: MTCNN) -> dict[str, Picture]:
    """uint8 RGB [N, H, W, 3] by name: faces as found and masked, in the crops of every network, and one scene."""
    rng = np.random.default_rng(20)
    pictures = [_read(path) for path in sorted(PICTURES.glob("*.[jp][pn]g"))]
    found = [faces[:1] for faces in detector.detect(pictures)]
    masked = [
        draw_mask(picture, faces.landmarks[0], rng, wearing=wearing)[0]
        for picture, faces, wearing in zip(
            pictures, found, (Wearing.WORN, Wearing.WORN, Wearing.BELOW_NOSE, Wearing.CHIN), strict=True
        )
    ]
    both = [*zip(pictures, found, strict=True), *zip(masked, found, strict=True)]
    tiles = [cv2.resize(picture, (_TILE, _TILE), interpolation=cv2.INTER_AREA) for picture in pictures]
    return {
        SCENE: np.block([[[tiles[0]], [tiles[1]]], [[tiles[2]], [tiles[3]]]])[None],
        "24": np.stack([view for picture, faces in both for view in _windows(picture, faces, 24)]),
        "48": np.stack([view for picture, faces in both[::2] for view in _windows(picture, faces, 48)]),
        str(CROP_SIZE): np.stack([mask_crop(picture, faces.boxes[0]) for picture, faces in both]),
        str(RECOGNITION_SIZE): np.stack(
            [
                warp(picture, recognition_transform(faces.landmarks[0]), RECOGNITION_SIZE)
                for picture, faces in (both[0], both[2], both[5])
            ]
        ),
        str(FACE_SIZE): np.stack(
            [warp(p, face_transform(f.landmarks[0]), FACE_SIZE) for p, f in (both[4], both[1])]
        ),
    }


def _windows(picture: Picture, faces: Faces, size: int) -> list[Picture]:
    """A face as R- and O-Net see it, and a window beside it that holds no face, or half of one."""
    x1, y1, x2, y2 = faces.boxes[0]
    side = max(x2 - x1, y2 - y1)
    views = []
    for shift in (0.0, 0.6):
        x, y = (x1 + x2 - side) / 2 + shift * side, (y1 + y2 - side) / 2
        scale = size / side
        views.append(
            warp(picture, np.array([[scale, 0, -scale * x], [0, scale, -scale * y]], np.float32), size)
        )
    return views


def _read(path: Path) -> Picture:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def write_inputs(path: Path, pictures: Picture) -> None:
    """Pictures [N, S, S, 3] below each other in one PNG, which can be looked at."""
    strip = cv2.cvtColor(pictures.reshape(-1, *pictures.shape[2:]), cv2.COLOR_RGB2BGR)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), strip, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def write(path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    """A compressed .npz whose bytes hang on the arrays alone."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _CLOCK), content.getvalue(), zipfile.ZIP_DEFLATED)
    write_atomically(path, file.getvalue())
    path.chmod(0o644)


def make(
    networks: Annotated[
        list[str] | None, typer.Argument(help="Which; all whose weights are there without.")
    ] = None,
    inputs: Annotated[
        bool, typer.Option(help="Make the inputs anew; all networks need theirs again then.")
    ] = False,
) -> None:
    """Make the reference outputs, and with --inputs what they are made of."""
    models = prepare(Engines().cache, networks or [name for name in NETWORKS if _is_there(name)])
    if inputs or not FOLDER.is_dir():
        detector = MTCNN(
            {name: open_engine(models[name], "onnxruntime") for name in ("pnet", "rnet", "onet")}
        )
        for name, pictures in make_inputs(detector).items():
            write_inputs(FOLDER / f"{name}.png", pictures)
    for name, model in models.items():
        outputs, by = computed(model, inputs_for(model))
        arrays: dict[str, NDArray[np.generic]] = {
            "model_sha256": np.array(model.sha256),
            "inputs_sha256": np.array(file_sha256(inputs_file(model))),
        }
        for output, values in zip(model.outputs, outputs, strict=True):
            # A picture is shown in eight bits and held to 45 dB: rounding it costs 59 dB, and half a megabyte less.
            rounded = name == "unmask" and values.shape[1] == 3
            arrays[output] = np.rint(values).astype(np.uint8) if rounded else values
        write(FOLDER / f"{name}.npz", arrays)
        typer.echo(f"{name}: {', '.join(str(list(o.shape)) for o in outputs)} by {by}")


def _is_there(name: str) -> bool:
    origin = NETWORKS[name]
    return not isinstance(origin, Shipped) or (WEIGHTS / origin.file).is_file()


if __name__ == "__main__":
    typer.run(make)
