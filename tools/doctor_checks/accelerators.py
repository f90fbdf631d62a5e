"""What the networks run on, and what decodes pictures: found, and tried."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import numpy as np
from av.codec.hwaccel import hwdevices_available

from engines.backends import EngineError, open_engine
from engines.models import WEIGHTS, ModelError, from_file
from stream.capture.decoder import SOFTWARE, DamagedUnit, Decoder
from stream.config import Settings
from tools.doctor_checks.finding import Finding, fault, ok, warning
from tools.doctor_checks.nvidia import Driver, driver

_RTX_ARCHITECTURES = ((7, 5), (8, 0), (8, 6), (8, 9), (12, 0))
_CODECS = {"h264": "libx264", "hevc": "libx265"}
_TRIAL = "maskstate"  # the smallest of the networks that are shipped as they are


def accelerators(settings: Settings) -> Iterator[Finding]:
    """GPU, driver, TensorRT, OpenVINO, the network runtime that serves, hardware decoders."""
    nvidia = driver()
    yield _gpu(nvidia)
    yield _tensorrt(nvidia)
    yield from _openvino()
    yield _serving(settings)
    yield from _decoders(nvidia)


def _gpu(nvidia: Driver) -> Finding:
    if nvidia.gpus:
        cards = "; ".join(
            f"{g.name}, {g.memory / 2**30:.0f} GiB, SM {g.capability[0]}.{g.capability[1]}"
            for g in nvidia.gpus
        )
        return ok("GPU", f"{cards}; driver {nvidia.version or 'of an unknown version'}, CUDA {nvidia.cuda}")
    if nvidia.cards:
        advice = "install NVIDIA's driver and restart; in a container: --gpus all, with the NVIDIA Container Toolkit"
        return warning("GPU", f"{nvidia.cards} NVIDIA GPU(s), and the driver: {nvidia.problem}", advice)
    return ok("GPU", "no NVIDIA GPU: the networks run on the processor")


def _tensorrt(nvidia: Driver) -> Finding:
    installed = {
        module: _version(module.replace("_", "-"))
        for module in ("tensorrt", "tensorrt_rtx")
        if importlib.util.find_spec(module)
    }
    found = ", ".join(f"{module} {version}".strip() for module, version in installed.items())
    if not nvidia.gpus:
        return ok("TensorRT", f"{found or 'not installed'}; without an NVIDIA GPU it is not used")
    if not found:
        advice = "for the fastest engines: pip install unvizard[tensorrt] (Jetson: JetPack's own python3-libnvinfer)"
        return warning("TensorRT", "not installed", advice)
    capability = nvidia.gpus[0].capability
    if "tensorrt" not in installed and capability not in _RTX_ARCHITECTURES:
        sm = f"SM {capability[0]}.{capability[1]}"
        return warning("TensorRT", f"{found}, which does not serve {sm}", "pip install unvizard[tensorrt]")
    return ok("TensorRT", found)


def _openvino() -> Iterator[Finding]:
    try:
        # Through the backend, which keeps OpenVINO from sending statistics.
        core = importlib.import_module("engines.backends.openvino").openvino.Core()
        devices = {
            device: str(core.get_property(device, "FULL_DEVICE_NAME")) for device in core.available_devices
        }
        able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") if "CPU" in devices else []
    except (ImportError, RuntimeError) as error:
        yield fault("OpenVINO", f"does not work: {_line(error)}", "pip install --force-reinstall openvino")
        return
    listed = "; ".join(f"{device}: {name.strip()}" for device, name in devices.items())
    yield ok("OpenVINO", f"{_version('openvino')}, {listed} ({', '.join(able)})")


def _serving(settings: Settings) -> Finding:
    """Opens the smallest network as the settings say, and runs it: the answer of the machine, not of a list."""
    name, chosen = "engine", settings.engines
    try:
        with tempfile.TemporaryDirectory() as scratch:
            model = from_file(_TRIAL, WEIGHTS / f"{_TRIAL}.onnx")
            engine = open_engine(model, chosen.backend, chosen.precision, chosen.threads, Path(scratch))
            batch = np.zeros((1, *(side or 64 for side in model.input_shape[1:])), np.float32)
            engine(batch)
            began = time.perf_counter()
            outputs = engine(batch)
            spent_ms = (time.perf_counter() - began) * 1e3
    except (EngineError, ModelError) as error:
        return fault(name, _line(error), "do as it says, or set engines.backend to auto")
    if not all(np.isfinite(output).all() for output in outputs):
        return fault(name, f"{engine.info.backend} gives no numbers", "set engines.precision to fp32")
    info = engine.info
    found = f"{info.backend} on {info.device} in {info.precision}: {_TRIAL} in {spent_ms:.1f} ms"
    if info.notes:
        return warning(
            name, f"{found}; {'; '.join(info.notes)}", "mend that, or name engines.backend yourself"
        )
    return ok(name, found)


def _decoders(nvidia: Driver) -> Iterator[Finding]:
    nodes = sorted(Path("/dev/dri").glob("renderD*"))
    closed = [str(node) for node in nodes if not os.access(node, os.R_OK | os.W_OK)]
    if closed:
        advice = "usermod -aG render,video USER, and log in anew; in a container: --device /dev/dri"
        yield warning("render nodes", f"{', '.join(closed)} may not be opened", advice)
    compiled = ", ".join(hwdevices_available()) or "none"
    for codec, encoder in _CODECS.items():
        name = f"decoding {'H.264' if codec == 'h264' else 'H.265'}"
        try:
            used, spent_ms = _decoded(codec, encoder)
        except (av.error.FFmpegError, DamagedUnit, ValueError) as error:
            yield warning(name, f"could not be tried: {_line(error)}", "pip install --force-reinstall av")
            continue
        found = f"{used}, {spent_ms:.1f} ms of a 1280 x 720 picture (FFmpeg was built with {compiled})"
        if used == SOFTWARE and nvidia.gpus and "cuda" in hwdevices_available():
            advice = (
                "the driver's libnvcuvid is missing; in a container: NVIDIA_DRIVER_CAPABILITIES=compute,video"
            )
            yield warning(name, f"{found}, although there is a GPU", advice)
        else:
            yield ok(name, found)


def _decoded(codec: str, encoder: str) -> tuple[str, float]:
    """Which decoder the pipeline would get, and milliseconds a picture, by decoding a few. Raises FFmpegError."""
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 1280, 720, "yuv420p"
    context.time_base, context.max_b_frames = Fraction(1, 25), 0
    context.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "x265-params": "log-level=none:pools=none",
    }
    y, x = np.mgrid[:1080, :1280]
    waves = (128 + 60 * np.sin(x / 37) + 60 * np.sin(y / 23)).astype(np.uint8)
    packets = []
    for shift in range(10):
        frame = av.VideoFrame.from_ndarray(np.roll(waves, shift * 8, 1), format="yuv420p")
        frame.pts = shift
        packets += context.encode(frame)
    decoder = Decoder(codec)
    decoder.decode(bytes(packets[0]), 0)
    spent_ms = []
    for number, packet in enumerate(packets[1:], 1):
        began = time.perf_counter()
        decoder.decode(bytes(packet), number)
        spent_ms.append((time.perf_counter() - began) * 1e3)
    return decoder.name, median(spent_ms)


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
