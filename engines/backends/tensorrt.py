"""TensorRT on NVIDIA GPUs: one adapter for `tensorrt` (10, 11, JetPack's) and `tensorrt_rtx`.

The precision is decided in the graph (strongly typed networks), because TensorRT 11 and RTX have no precision
flags. Plans are valid for one version and one kind of GPU only, so both are in the cache's key. build() needs
no GPU with tensorrt_rtx; running does.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from engines.backends.engine import Array, EngineError, EngineInfo, Precision, checked
from engines.backends.lowering import lower
from engines.cache import EngineKey, load, save
from engines.models import Model, read_safely

MODULES = ("tensorrt", "tensorrt_rtx")
_BATCHES = (1, 4, 16)
_SMALLEST = 12  # pixels: P-Net's window
_WORKSPACE = 1 << 30


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
        sides = [(fixed_height, height), (fixed_width, width)]
        least, likely, greatest = (
            tuple(fixed or size for (fixed, _), size in zip(sides, chosen, strict=True))
            for chosen in (
                (_SMALLEST, _SMALLEST),
                (height, width),
                (1 << (height - 1).bit_length(), 1 << (width - 1).bit_length()),
            )
        )
        shapes = ((n, channels or 3, *s) for n, s in zip(_BATCHES, (least, likely, greatest), strict=True))
        return cls(*shapes)


def module() -> ModuleType:
    """`tensorrt`, or else `tensorrt_rtx`. Raises EngineError when neither can be imported."""
    reasons = []
    for name in MODULES:
        try:
            return importlib.import_module(name)
        except (ImportError, OSError) as error:
            reasons.append(f"{name}: {error}")
    raise EngineError(
        f"tensorrt: it cannot be imported ({'; '.join(reasons)}); run: pip install tensorrt-rtx, or on "
        "a Jetson make the environment with --system-site-packages"
    )


def build(trt: ModuleType, model: Model, precision: Precision, profile: Profile) -> bytes:
    """A serialised plan. trt: what module() gives. Raises EngineError with the parser's own words."""
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, logger)
    graph = lower(read_safely(model.path, model.name), precision)
    if not parser.parse(graph.SerializeToString()):
        said = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise EngineError(f"tensorrt: {model.name} does not parse: {said}; choose another backend")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE)
    config.clear_flag(trt.BuilderFlag.TF32)  # fp32 means fp32
    shapes = builder.create_optimization_profile()
    shapes.set_shape(network.get_input(0).name, profile.least, profile.likely, profile.greatest)
    config.add_optimization_profile(shapes)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(f"tensorrt: {model.name} in {precision} does not build; choose another backend")
    return bytes(plan)


@dataclass(frozen=True, slots=True)
class _Plan:
    profile: Profile
    engine: Any
    context: Any


class TensorRtEngine:
    """One network on the GPU, on its own CUDA stream, with torch's memory; Engine has the interface.

    Plans are built when a picture size is first met (seconds to minutes) and kept in the cache.
    Raises EngineError without TensorRT, without a GPU, or when a plan cannot be built or loaded.
    """

    def __init__(self, model: Model, precision: Precision, cache: Path | None) -> None:
        self._trt = module()
        try:
            import torch
        except ImportError as error:
            raise EngineError(
                "tensorrt: it needs torch for its GPU memory; run: pip install torch"
            ) from error
        if not torch.cuda.is_available():
            raise EngineError(
                f"tensorrt: no GPU that torch {torch.__version__} can use; install a CUDA build of torch, or "
                "choose backend openvino"
            )
        self._torch: Any = torch
        self._model = model
        self._precision = precision
        self._cache = cache
        self._runtime = self._trt.Runtime(self._trt.Logger(self._trt.Logger.ERROR))
        self._stream = self._torch.cuda.Stream()
        self._plans: list[_Plan] = []
        major, minor = torch.cuda.get_device_capability()
        self._device = f"{torch.cuda.get_device_name()} sm{major}{minor}"
        self.info = EngineInfo(model.name, "tensorrt", self._device, precision.value, model.sha256)
        if None not in model.input_shape[1:]:  # nothing to wait for: the size is known
            self._plan((1, *(size or 1 for size in model.input_shape[1:])))

    def __call__(self, batch: Array) -> tuple[Array, ...]:
        """The outputs for a batch, as Engine says."""
        batch = checked(batch, self._model)
        most = _BATCHES[-1]
        try:
            parts = [self._run(batch[i : i + most]) for i in range(0, len(batch), most)]
        except EngineError:
            raise
        except RuntimeError as error:  # such as too little memory, or a lost GPU
            raise EngineError(f"tensorrt: {self._model.name} failed on {batch.shape}: {error}") from error
        return tuple(np.concatenate(output) for output in zip(*parts, strict=True))

    def _run(self, batch: Array) -> tuple[Array, ...]:
        torch, plan = self._torch, self._plan(batch.shape)
        engine, context = plan.engine, plan.context
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        source = next(n for n in names if engine.get_tensor_mode(n) == self._trt.TensorIOMode.INPUT)
        with torch.cuda.stream(self._stream):
            tensors = {source: torch.from_numpy(batch).cuda()}
            context.set_input_shape(source, batch.shape)
            for name in self._model.outputs:
                tensors[name] = torch.empty(tuple(context.get_tensor_shape(name)), device="cuda")
            for name, tensor in tensors.items():
                context.set_tensor_address(name, tensor.data_ptr())
            if not context.execute_async_v3(self._stream.cuda_stream):
                raise EngineError(f"tensorrt: {self._model.name} failed on {batch.shape}; see the log above")
            return tuple(tensors[name].cpu().numpy() for name in self._model.outputs)

    def _plan(self, shape: tuple[int, ...]) -> _Plan:
        for plan in self._plans:
            if plan.profile.holds(shape):
                return plan
        profile = Profile.of(self._model, *shape[2:])
        version = f"{self._trt.__name__} {self._trt.__version__}"
        key = EngineKey(
            self._model.name, self._model.sha256, version, self._device, self._precision.value, repr(profile)
        )
        content = load(self._cache, key)
        engine = self._runtime.deserialize_cuda_engine(content) if content else None
        if engine is None:
            content = build(self._trt, self._model, self._precision, profile)
            save(self._cache, key, content)
            engine = self._runtime.deserialize_cuda_engine(content)
        if engine is None:
            raise EngineError(
                f"tensorrt: {version} built {self._model.name} but cannot load it on {self._device}; "
                "choose backend torch"
            )
        plan = _Plan(profile, engine, engine.create_execution_context())
        self._plans.append(plan)
        return plan
