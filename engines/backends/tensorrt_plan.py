"""Plans for TensorRT: from an ONNX file to a serialised engine. Needs a GPU with `tensorrt`, none with `tensorrt_rtx`.

The precision is decided in the graph (strongly typed networks), because TensorRT 11 and RTX have no precision
flags; TensorRT 10 has such networks too, so one way serves all.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from engines.backends.engine import EngineError, OutOfMemory, Precision
from engines.backends.lowering import lower
from engines.cache import EngineKey, load, save
from engines.models import Model, read_safely

MODULES = ("tensorrt", "tensorrt_rtx")
BATCHES = (1, 4, 16)
_SMALLEST = {"pnet": 12}
"""The least height and width in pixels: P-Net's window. Other networks for any size join scales, and take 32 and its
multiples."""
_WORKSPACE = 1 << 30

Progress = Callable[[float], bool]
"""Told the share of a build that is done, 0 to 1, from any thread; False stops the build."""


class BuildStopped(EngineError):
    """Whoever watched a build asked for its end; nothing is left of it."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The shapes one plan serves: least, most likely and greatest (N, C, H, W)."""

    least: tuple[int, ...]
    likely: tuple[int, ...]
    greatest: tuple[int, ...]

    def holds(self, shape: tuple[int, ...]) -> bool:
        """Whether the plan can run a batch of this shape."""
        return all(a <= s <= b for a, s, b in zip(self.least, shape, self.greatest, strict=True))

    @classmethod
    def of(cls, model: Model, height: int, width: int) -> Profile:
        """For pictures of this size. Where the network takes any size, the greatest is the next power of
        two, so that the levels of one pyramid share a plan and its memory fits the camera.
        """
        channels, fixed_height, fixed_width = model.input_shape[1:]
        smallest = _SMALLEST.get(model.name, 32)
        sides = [(fixed_height, height), (fixed_width, width)]
        least, likely, greatest = (
            tuple(fixed or size for (fixed, _), size in zip(sides, chosen, strict=True))
            for chosen in (
                (smallest, smallest),
                (height, width),
                (1 << (height - 1).bit_length(), 1 << (width - 1).bit_length()),
            )
        )
        shapes = ((n, channels or 3, *s) for n, s in zip(BATCHES, (least, likely, greatest), strict=True))
        return cls(*shapes)


def module() -> ModuleType:
    """`tensorrt` from version 10 on, or else `tensorrt_rtx`. Raises EngineError when neither can be imported."""
    reasons = []
    for name in MODULES:
        try:
            found = importlib.import_module(name)
        except (ImportError, OSError) as error:
            reasons.append(f"{name}: {error}")
            continue
        if name == "tensorrt" and int(found.__version__.split(".")[0]) < 10:
            reasons.append(f"tensorrt: must be version 10 or later (JetPack 6.1), found {found.__version__}")
            continue
        return found
    raise EngineError(
        f"tensorrt: it cannot be imported ({'; '.join(reasons)}); run: pip install tensorrt-rtx, or on "
        "a Jetson make the environment with --system-site-packages"
    )


def is_rtx(trt: ModuleType) -> bool:
    """Whether it is `tensorrt_rtx`, which compiles its kernels on the user's GPU when they first run."""
    return trt.__name__ == "tensorrt_rtx"


def version(trt: ModuleType) -> str:
    """The runtime of a cache's key."""
    return f"{trt.__name__} {trt.__version__}"


def listener(trt: ModuleType) -> Any:
    """A logger for TensorRT that keeps what went wrong, so that the reason reaches the user. See said()."""

    class Listener(trt.ILogger):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            """Called by TensorRT, from any of its threads."""
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                self.errors.append(message)

    return Listener()


def said(logger: Any) -> str:
    """What went wrong since the last time, in TensorRT's own words."""
    errors = list(logger.errors)
    logger.errors.clear()
    return "; ".join(dict.fromkeys(errors)) or "it gave no reason"


def build(
    trt: ModuleType,
    model: Model,
    precision: Precision,
    profile: Profile,
    progress: Progress | None = None,
    cache: Path | None = None,
    device: str = "",
) -> bytes:
    """A serialised plan.

    trt: what module() gives. cache: a folder for the times of layers, which make the next build for the same
    `device` shorter (of `tensorrt`; RTX measures nothing while it builds).
    Raises EngineError with TensorRT's own words, OutOfMemory, and BuildStopped when progress() said so.
    """
    logger = listener(trt)
    builder = trt.Builder(logger)
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None or is_rtx(trt) else 1 << int(flag))
    parser = trt.OnnxParser(network, logger)
    graph = lower(read_safely(model.path, model.name), precision)
    if not parser.parse(graph.SerializeToString()):
        reasons = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise EngineError(f"tensorrt: {model.name} does not parse: {reasons}; choose another backend")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE)
    config.clear_flag(trt.BuilderFlag.TF32)  # fp32 means fp32
    shapes = builder.create_optimization_profile()
    shapes.set_shape(network.get_input(0).name, profile.least, profile.likely, profile.greatest)
    config.add_optimization_profile(shapes)
    watch = _watch(trt, progress or (lambda share: True))
    config.progress_monitor = watch
    times, key = None, EngineKey("timing", "", version(trt), device, "any", "times of layers")
    if cache and not is_rtx(trt):
        times = config.create_timing_cache(load(cache, key) or b"")
        config.set_timing_cache(times, False)
    plan = _built(builder, network, config, watch)
    if watch.stopped:
        raise BuildStopped(f"tensorrt: the build of {model.name} was stopped")
    if plan is None:
        reason = said(logger)
        kind = OutOfMemory if "memory" in reason.lower() else EngineError
        raise kind(f"tensorrt: {model.name} in {precision} does not build: {reason}; choose another backend")
    if times is not None:
        save(cache, key, bytes(times.serialize()))
    return bytes(plan)


def _built(builder: Any, network: Any, config: Any, watch: Any) -> Any:
    """Builds in a thread: TensorRT calls back while it works, and Ctrl-C must not be raised in there."""
    plans: list[Any] = []
    done = threading.Event()  # an interrupted Thread.join() takes the thread for ended

    def work() -> None:
        try:
            plans.append(builder.build_serialized_network(network, config))
        finally:
            done.set()

    thread = threading.Thread(target=work, name="tensorrt build")
    try:
        thread.start()
        done.wait()
    except BaseException:
        watch.stopped = True
        if thread.ident:  # it may not have begun yet; then it ends at its first step
            done.wait()
            thread.join()
        raise
    thread.join()
    return plans[0] if plans else None


def _watch(trt: ModuleType, progress: Progress) -> Any:
    """TensorRT's phases and steps, one within the other, as one share of the whole."""

    class Watch(trt.IProgressMonitor):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.stopped = False
            self._phases: dict[str, list[Any]] = {}  # name: the phase around it, its steps, those done
            self._told = 0.0

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            """Called by TensorRT."""
            self._phases[phase_name] = [parent_phase, max(num_steps, 1), 0]

        def phase_finish(self, phase_name: str) -> None:
            """Called by TensorRT."""
            self._phases.pop(phase_name, None)

        def step_complete(self, phase_name: str, step: int) -> bool:
            """Called by TensorRT; False ends the build."""
            self._phases[phase_name][2] = step + 1
            share, phase = 0.0, self._phases.get(phase_name)
            while phase:
                around, steps, done = phase
                share = min((done + share) / steps, 1.0)
                phase = self._phases.get(around)
            self._told = max(self._told, share)
            self.stopped = self.stopped or not progress(self._told)
            return not self.stopped

    return Watch()
