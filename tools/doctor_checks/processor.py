"""The processor and the memory: as much of them as this process may use, which in a container is less than all."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator
from pathlib import Path

import psutil

from stream.config import Settings
from stream.ring import picture_bytes
from stream.run_directory import shared_memory_root
from tools.doctor_checks.finding import Finding, fault, ok, warning

_WANTED = {  # flags of /proc/cpuinfo on x86 and ARM, and what they are good for
    "AVX2": ("avx2",),
    "AVX-512": ("avx512f",),
    "NEON": ("asimd",),
    "VNNI (int8)": ("avx512_vnni", "avx_vnni", "asimddp", "i8mm"),
    "bf16": ("avx512_bf16", "amx_bf16", "bf16"),
}
_BASE_BYTES, _CAMERA_BYTES = 1.2e9, 0.15e9  # estimates: all stages, and one more camera
_HANDLES_BASE, _HANDLES_CAMERA = 128, 32
_CAMERAS_A_CORE = 3
_CGROUP = Path("/sys/fs/cgroup")


def processor(settings: Settings) -> Iterator[Finding]:
    """Model, usable cores, instructions, how it is clocked, and who else uses it."""
    lines = _read(Path("/proc/cpuinfo")).splitlines()
    model = _field(lines, "model name") or platform.processor() or platform.machine()
    cores, quota = len(os.sched_getaffinity(0)), _cpu_quota()
    usable = min(cores, quota) if quota else float(cores)
    found = f"{model}, {usable:g} of {os.cpu_count()} cores may be used"
    cameras = len(settings.cameras)
    if usable < 2:
        yield warning("cores", found, "give it at least 2 cores: detection and decoding then share one")
    elif cameras > _CAMERAS_A_CORE * usable:
        advice = "frames will be skipped: raise detection.every_ms and min_face, or use a GPU or more cores"
        yield warning("cores", f"{found}, for {cameras} cameras", advice)
    else:
        yield ok("cores", found)
    yield from _instructions(settings, (_field(lines, "flags") or _field(lines, "Features")).split())
    governor = _read(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")).strip()
    if governor in ("powersave", "conservative"):
        advice = "for an even latency: cpupower frequency-set -g performance (or schedutil)"
        yield warning("clocking", f"governor {governor}", advice)
    elif governor:
        yield ok("clocking", f"governor {governor}")
    load = os.getloadavg()[0]
    if load > cores:
        advice = "find out with top what else runs here: it takes the cores from the cameras"
        yield warning("load", f"{load:.1f} processes want {cores} cores", advice)
    else:
        yield ok("load", f"{load:.1f} processes on {cores} cores")


def memory(settings: Settings) -> Iterator[Finding]:
    """Memory, shared memory for the frame rings, and handles for files."""
    cameras = max(1, len(settings.cameras))
    free, limit = psutil.virtual_memory().available, _memory_limit()
    if limit:
        free = min(free, limit)
    needed = _BASE_BYTES + _CAMERA_BYTES * cameras
    found = f"{_gb(free)} free{f' (the container may use {_gb(limit)})' if limit else ''}"
    if free < needed:
        advice = f"some {_gb(needed)} are needed for {_plural(cameras)}: end other programs, or give it more memory"
        yield (fault if free < needed / 2 else warning)("memory", found, advice)
    else:
        yield ok("memory", found)
    root = shared_memory_root()
    free = psutil.disk_usage(str(root)).free
    needed = float(cameras * settings.ring.slots * picture_bytes(1920, 1080))
    found = f"{root}: {_gb(free)} free, {_gb(needed)} needed for {_plural(cameras)} at 1920 x 1080"
    if free < needed:
        advice = "in a container: --shm-size 1g (Docker gives 64 MB); else lower ring.slots"
        yield fault("shared memory", found, advice)
    elif root != Path("/dev/shm"):
        yield warning("shared memory", found, "mount a tmpfs at /dev/shm: frames now go over the disk")
    else:
        yield ok("shared memory", found)
    handles, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _HANDLES_BASE + _HANDLES_CAMERA * cameras
    if handles < wanted:
        yield warning("open files", f"{handles} a process", f"raise it to {wanted}: ulimit -n {wanted}")
    else:
        yield ok("open files", f"{handles} a process")


def _instructions(settings: Settings, flags: list[str]) -> Iterator[Finding]:
    there = [name for name, wanted in _WANTED.items() if any(flag in flags for flag in wanted)]
    found = ", ".join(there) or "none of those that are looked for"
    if settings.engines.precision == "bf16" and "bf16" not in there:
        yield fault("instructions", found, "this processor has no bf16: set engines.precision to fp32")
    elif not {"AVX2", "NEON"} & set(there):
        yield warning("instructions", found, "the networks run several times slower: use a newer processor")
    else:
        yield ok("instructions", found)


def _cpu_quota() -> float:
    """Cores that the container may use; 0 without a limit."""
    quota, _, period = _read(_CGROUP / "cpu.max").partition(" ")
    if not period:
        quota, period = _read(_CGROUP / "cpu/cpu.cfs_quota_us"), _read(_CGROUP / "cpu/cpu.cfs_period_us")
    try:
        return max(0.0, int(quota) / int(period))
    except ValueError:
        return 0.0  # no cgroups, or the word "max"


def _memory_limit() -> int:
    """Bytes that the container may use; 0 without a limit."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        text = _read(_CGROUP / name).strip()
        if text.isdigit() and int(text) < psutil.virtual_memory().total:
            return int(text)
    return 0


def _field(lines: list[str], name: str) -> str:
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _plural(cameras: int) -> str:
    return "one camera" if cameras == 1 else f"{cameras} cameras"


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"
