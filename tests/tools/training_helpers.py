"""Toy faces for the trainers, and the trainers run as a user does."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from engines.alignment import RECOGNITION_POINTS

ROOT = Path(__file__).parents[2]
COLUMNS = ("file", "split", "rex", "rey", "lex", "ley", "nx", "ny", "rmx", "rmy", "lmx", "lmy")


def write_faces(folder: Path, count: int = 6) -> Path:
    """Blobs with landmarks, in the layout of the index."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for i in range(count):
            coarse = rng.integers(60, 200, (12, 12, 3), dtype=np.uint8)
            cv2.imwrite(
                str(folder / f"{i}.png"), cv2.resize(coarse, (224, 224), interpolation=cv2.INTER_CUBIC)
            )
            writer.writerow([f"{i}.png", "train", *(RECOGNITION_POINTS * 2).ravel()])
    return folder / "index.csv"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    wide = os.environ | {"COLUMNS": "400"}  # a path that is long must not be broken by the end of a line
    return subprocess.run(
        command, cwd=ROOT, env=wide, capture_output=True, text=True, timeout=300, check=False
    )
