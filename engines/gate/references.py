"""The inputs that every engine is tried on, and what the network makes of them in torch's float32.

Both are stored for the networks of the product, so that a start needs no torch; `python -m tools.make_gate` makes them
from the pictures of the demonstration. Other weights, such as a generator of one's own, are computed when first met.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.models import WEIGHTS, Model, file_sha256, read_safely

FOLDER = WEIGHTS / "gate"
SCENE = "scene"
"""The picture for networks that take any size. The others are strips of crops, named by their side in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """inputs: uint8 [N, 3, H, W] RGB. outputs: float32, of each of the model's outputs. origin: who computed them."""

    inputs: NDArray[np.uint8]
    outputs: tuple[NDArray[np.float32], ...]
    origin: str


def origin(model: Model) -> str:
    """Who says what is right, without computing it: a verdict counts as long as this stays the same."""
    inputs = file_sha256(inputs_file(model))[:12]
    stored = _stored(model)
    return f"stored {file_sha256(stored)[:12]} for {inputs}" if stored else f"computed for {inputs}"


def reference(model: Model) -> Reference:
    """The stored reference of these weights, or one computed now. Raises ModelError, EngineError."""
    inputs = inputs_for(model)
    if path := _stored(model):
        with np.load(path) as file:
            outputs = tuple(file[name].astype(np.float32) for name in model.outputs)
        return Reference(inputs, outputs, "stored")
    return Reference(inputs, *computed(model, inputs))


def computed(model: Model, inputs: NDArray[np.uint8]) -> tuple[tuple[NDArray[np.float32], ...], str]:
    """The outputs in float32 by torch on the processor, or by ONNX Runtime where torch cannot; and who it was."""
    batch = inputs.astype(np.float32)
    try:
        import torch

        from engines.backends.torch_graph import TorchGraph, UnknownOperator
    except ImportError:
        return _by_onnxruntime(model, batch), "onnxruntime fp32"
    try:
        with torch.inference_mode():
            graph = TorchGraph(read_safely(model.path, model.name)).eval()
            return tuple(output.float().numpy() for output in graph(torch.from_numpy(batch))), "torch fp32"
    except UnknownOperator:
        return _by_onnxruntime(model, batch), "onnxruntime fp32"


def inputs_for(model: Model) -> NDArray[np.uint8]:
    """Real pictures in the form that a network takes, uint8 [N, 3, H, W] RGB."""
    strip = cv2.cvtColor(cv2.imread(str(inputs_file(model))), cv2.COLOR_BGR2RGB)
    pictures = list(strip.reshape(-1, strip.shape[1], *strip.shape[1:]))
    height, width = model.input_shape[2:]
    if height and width:
        pictures = [cv2.resize(picture, (width, height)) for picture in pictures]
    return np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))


def inputs_file(model: Model) -> Path:
    """The stored pictures that fit a network best: those of its own size where there are some."""
    height, width = model.input_shape[2:]
    if height is None or width is None:
        return FOLDER / f"{SCENE}.png"
    strips = (path for path in FOLDER.glob("*.png") if path.stem.isdecimal())
    return min(strips, key=lambda path: (abs(int(path.stem) - width), path.stem))


def _stored(model: Model) -> Path | None:
    """The file with this network's outputs, when it was made for these weights and these inputs."""
    path = FOLDER / f"{model.name}.npz"
    try:
        with np.load(path) as file:
            made_for = (str(file["model_sha256"]), str(file["inputs_sha256"]))
    except (OSError, KeyError, ValueError):
        return None
    return path if made_for == (model.sha256, file_sha256(inputs_file(model))) else None


def _by_onnxruntime(model: Model, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    from engines.backends.engine import Precision
    from engines.backends.onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(model, Precision.FP32, threads=1)(batch)
