"""TensorRT on NVIDIA GPUs: one adapter for `tensorrt` (10, 11, JetPack's) and `tensorrt_rtx`.

Plans are valid for one version and one kind of GPU only, so both are in the cache's key. Networks for pictures of
one size run at the profile's three batches, each with its own context, memory and CUDA graph; those for any
size (P-Net) run as the pictures come.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from engines.backends.engine import Array, EngineError, EngineInfo, Precision, checked
from engines.backends.tensorrt_plan import (
    BATCHES,
    Profile,
    Progress,
    build,
    is_rtx,
    listener,
    module,
    said,
    version,
)
from engines.cache import EngineKey, load, save
from engines.models import Model

__all__ = ["Profile", "TensorRtEngine", "build", "module"]


@dataclass(frozen=True, slots=True)
class _Plan:
    profile: Profile
    run: Any  # Tensor -> its outputs, on the current stream


class TensorRtEngine:
    """One network on the GPU, with torch's memory; Engine and Resident have the interface.

    Plans are built when a picture size is first met (seconds to minutes) and kept in the cache; ready() and
    prepare() let somebody else serve meanwhile.
    Raises EngineError without TensorRT, without a GPU, or when a plan cannot be built or loaded; OutOfMemory and
    DeviceLost as they say.
    """

    def __init__(
        self, model: Model, precision: Precision, cache: Path | None, progress: Progress | None = None
    ) -> None:
        """progress: see build(); for the plan that is built here, where the size of pictures is known."""
        self._trt: ModuleType = module()
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
        from engines.backends import cuda

        self._torch, self._cuda = torch, cuda
        self._model, self._precision, self._cache = model, precision, cache
        self._logger = listener(self._trt)
        self._plans: list[_Plan] = []
        self._kind = _kind(torch)
        self.info = EngineInfo(model.name, "tensorrt", self._kind, precision.value, model.sha256)
        with cuda.told_apart(f"tensorrt: {model.name} does not open"):
            self.device = torch.device("cuda", torch.cuda.current_device())
            self._runtime = self._trt.Runtime(self._logger)
            self._lane = cuda.Lane(self.device)
            if None not in model.input_shape[1:]:  # nothing to wait for: the size is known
                self.prepare((1, *(size or 1 for size in model.input_shape[1:])), progress)

    def __call__(self, batch: Array) -> tuple[Array, ...]:
        """The outputs for a batch, as Engine says."""
        batch = checked(batch, self._model)
        with self._cuda.told_apart(f"tensorrt: {self._model.name} failed on {batch.shape}"):
            return self._lane.from_host(self._run, batch)

    def on_device(self, batch: Any) -> tuple[Any, ...]:
        """The outputs for a batch, as Resident says."""
        batch = self._cuda.checked_tensor(batch, self._model, self.device)
        with self._cuda.told_apart(f"tensorrt: {self._model.name} failed on {tuple(batch.shape)}"):
            return self._lane.on_device(self._run, batch)

    def ready(self, shape: tuple[int, ...]) -> bool:
        """Whether a batch of this shape (N, C, H, W) can run at once, without a plan being built."""
        return self._plan((1, *shape[1:])) is not None

    def prepare(self, shape: tuple[int, ...], progress: Progress | None = None) -> None:
        """Makes ready for pictures of this size: loads the plan, or builds it. Another thread may run other sizes
        meanwhile. Raises as the class does, and BuildStopped.
        """
        if not self.ready(shape):
            self._opened(shape, progress)

    def _plan(self, shape: tuple[int, ...]) -> _Plan | None:
        return next((plan for plan in self._plans if plan.profile.holds(shape)), None)

    def _opened(self, shape: tuple[int, ...], progress: Progress | None) -> _Plan:
        profile = Profile.of(self._model, *shape[2:])
        with self._cuda.told_apart(f"tensorrt: {self._model.name} does not open for {shape}"):
            engine = self._loaded(profile, progress)
            settings = self._settings(engine)
            execution = self._execution(engine, settings)
            run: Any = execution.chunks
            if None not in self._model.input_shape[1:]:
                # RTX records by itself, once its kernels for the shape are compiled.
                record = (lambda launch: launch) if is_rtx(self._trt) else self._cuda.recorded
                sides = profile.likely[1:]
                run = self._cuda.Slots(BATCHES, lambda size: execution.slot((size, *sides), record))
                self._warm(run, settings, profile)
            self._torch.cuda.synchronize()  # the engine's own stream does not wait for what was launched here
        plan = _Plan(profile, run)
        self._plans.append(plan)
        return plan

    def _run(self, batch: Any) -> tuple[Any, ...]:
        one = (1, *batch.shape[1:])
        outputs: tuple[Any, ...] = (self._plan(one) or self._opened(one, None)).run(batch)
        return outputs

    def _execution(self, engine: Any, settings: Any) -> Any:
        from engines.backends.tensorrt_run import Execution

        def stream() -> int:
            handle: int = self._torch.cuda.current_stream().cuda_stream
            return handle

        what = f"tensorrt: {self._model.name}"
        place = self._model.outputs, self.device, stream
        return Execution(self._trt, engine, settings, *place, self._logger, what)

    def _warm(self, slots: Any, settings: Any, profile: Profile) -> None:
        """Every batch size, run once; RTX's kernels, which are compiled then, are kept for the next start."""
        key = self._key(f"kernels of {profile}")
        kept = load(self._cache, key) if settings else None
        if kept:
            settings.get_runtime_cache().deserialize(kept)
        for size in BATCHES:
            slots(self._torch.zeros((size, *profile.likely[1:]), device=self.device))
        if settings and not kept:
            self._torch.cuda.synchronize()
            save(self._cache, key, bytes(settings.get_runtime_cache().serialize()))

    def _loaded(self, profile: Profile, progress: Progress | None) -> Any:
        """The plan as an engine, from the cache or built."""
        key = self._key(repr(profile))
        content = load(self._cache, key)
        engine = self._runtime.deserialize_cuda_engine(content) if content else None
        if engine is None:
            args = (self._trt, self._model, self._precision, profile)
            content = build(*args, progress, self._cache, self._kind)
            save(self._cache, key, content)
            said(self._logger)  # why the old plan did not load is no news once a new one does
            engine = self._runtime.deserialize_cuda_engine(content)
        if engine is None:
            what = (
                f"tensorrt: {version(self._trt)} built {self._model.name} but cannot load it on {self._kind}"
            )
            raise self._cuda.failure(what, f"{said(self._logger)}; choose backend torch")
        return engine

    def _settings(self, engine: Any) -> Any:
        """How RTX is to run an engine; None for `tensorrt`, which has nothing to be set."""
        if not is_rtx(self._trt):
            return None
        settings = engine.create_runtime_config()
        settings.cuda_graph_strategy = self._trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        if None not in self._model.input_shape[1:]:  # few shapes, so their own kernels may be waited for
            eager = self._trt.DynamicShapesKernelSpecializationStrategy.EAGER
            settings.dynamic_shapes_kernel_specialization_strategy = eager
        settings.set_runtime_cache(settings.create_runtime_cache())
        return settings

    def _key(self, shapes: str) -> EngineKey:
        runtime, precision = version(self._trt), self._precision.value
        return EngineKey(self._model.name, self._model.sha256, runtime, self._kind, precision, shapes)


def place() -> tuple[str, str]:
    """Runtime and device of a cache's key. Raises EngineError without TensorRT or GPU."""
    trt = module()
    import torch

    if not torch.cuda.is_available():
        raise EngineError("tensorrt: no GPU that torch can use here")
    return version(trt), _kind(torch)


def _kind(torch: Any) -> str:
    major, minor = torch.cuda.get_device_capability()
    return f"{torch.cuda.get_device_name()} sm{major}{minor}"
