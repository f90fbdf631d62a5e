"""Python, the packages that are needed, whether they load, and the weights that some of them carry."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import re
import sys
from collections.abc import Iterator

import stream
from engines.models import NETWORKS, Borne, ModelError
from stream.config import Settings
from tools.doctor_checks.finding import Finding, fault, ok

_NATIVE = ("av", "cv2", "numpy", "onnxruntime", "zmq")  # openvino is looked at with the accelerators
_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)\s*(?:(==|>=)\s*([0-9][0-9.]*))?$")


def packages(settings: Settings) -> Iterator[Finding]:
    """What is installed, against what setup.py asks for."""
    yield ok("Python", f"{platform.python_version()} at {sys.prefix}, Unvizard {stream.__version__}")
    try:
        requirements = importlib.metadata.requires("unvizard") or []
    except importlib.metadata.PackageNotFoundError:
        yield fault("Unvizard", "runs from a folder and is not installed", "in that folder: pip install -e .")
        return
    wrong = [found for each in requirements if ";" not in each and (found := _wrong(each))]
    if wrong:
        advice = "pip install -e . -c constraints.txt in the source folder (or: make demo)"
        yield fault("packages", "; ".join(wrong), advice)
    else:
        yield ok("packages", f"all {len([r for r in requirements if ';' not in r])} that are needed")
    yield from _loading()
    yield from _weights()


def _wrong(requirement: str) -> str:
    """What is wrong with one requirement of setup.py, or nothing."""
    match = _REQUIREMENT.match(requirement)
    assert match, f"setup.py: {requirement!r} must be NAME, NAME==VERSION or NAME>=VERSION"
    name, rule, wanted = match.groups()
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is not installed"
    if rule == "==" and found != wanted:
        return f"{name} must be {wanted}, found {found}"
    if rule == ">=" and _numbers(found) < _numbers(wanted):
        return f"{name} must be at least {wanted}, found {found}"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def _loading() -> Iterator[Finding]:
    broken = False
    for module in _NATIVE:
        try:
            importlib.import_module(module)
        except ImportError as error:
            broken = True
            advice = f"pip install --force-reinstall {module}"
            if "libGL" in str(error):
                advice = "pip install --force-reinstall --no-deps opencv-python-headless"
            yield fault(f"loading {module}", str(error).splitlines()[0], advice)
    if not broken:
        yield ok("loading", ", ".join(_NATIVE))


def _weights() -> Iterator[Finding]:
    carried = 0
    for name, origin in NETWORKS.items():
        if isinstance(origin, Borne):
            try:
                origin.find(name)
                carried += 1
            except ModelError as error:
                what, _, remedy = str(error).rpartition("; ")
                yield fault(f"weights of {name}", what, remedy)
    if carried:
        yield ok("weights", f"{carried} networks' weights in packages are the right ones")
