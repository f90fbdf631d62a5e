"""What NVIDIA's driver says of its GPUs, asked through its own library: no runtime needs to be installed."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

_VENDOR = "0x10de"
_DISPLAYS = ("0x0300", "0x0302")  # PCI classes: VGA and 3D controller
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_…
_ERRORS = {
    100: "no device that it may use",
    802: "the system is not ready (NVSwitch's fabric manager is not running)",
    803: "the driver and its library are of different versions",
    804: "this GPU is not supported by the compatibility library",
    999: "an unknown error",
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU. capability: (major, minor) of its architecture, as in SM 8.9. memory: bytes."""

    name: str
    capability: tuple[int, int]
    memory: int


@dataclass(frozen=True, slots=True)
class Driver:
    """cards: NVIDIA GPUs on the bus, of which the driver may offer fewer. problem: why it offers none, or empty.

    cuda: the newest CUDA that the driver serves, as "13.0".
    """

    cards: int
    gpus: tuple[Gpu, ...] = ()
    cuda: str = ""
    version: str = ""
    problem: str = ""


def driver() -> Driver:
    """What is there; nothing is raised where there is neither card nor driver."""
    cards = _cards()
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return Driver(cards, problem="its library libcuda.so.1 is not installed")
    if error := library.cuInit(0):
        return Driver(cards, problem=_ERRORS.get(error, f"error {error}"), version=_version())
    number = ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(number))
    cuda = f"{number.value // 1000}.{number.value % 1000 // 10}"
    library.cuDeviceGetCount(ctypes.byref(number))
    gpus = tuple(_gpu(library, ordinal) for ordinal in range(number.value))
    return Driver(max(cards, len(gpus)), gpus, cuda, _version(), "" if gpus else _ERRORS[100])


def _gpu(library: ctypes.CDLL, ordinal: int) -> Gpu:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name, memory = ctypes.create_string_buffer(128), ctypes.c_size_t()
    library.cuDeviceGet(ctypes.byref(device), ordinal)
    library.cuDeviceGetName(name, len(name), device)
    library.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    library.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
    library.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    return Gpu(name.value.decode(errors="replace"), (major.value, minor.value), memory.value)


def _cards() -> int:
    """NVIDIA GPUs on the PCI bus."""
    found = 0
    for device in Path("/sys/bus/pci/devices").glob("*"):
        try:
            vendor, kind = (device / "vendor").read_text().strip(), (device / "class").read_text()
        except OSError:
            continue
        found += vendor == _VENDOR and kind.startswith(_DISPLAYS)
    return found


def _version() -> str:
    """The kernel module's version, as in 580.65.06."""
    try:
        return Path("/sys/module/nvidia/version").read_text().strip()
    except OSError:
        return ""
