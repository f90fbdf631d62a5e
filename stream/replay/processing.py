"""Inference over recorded steps, in this process: the networks and the gallery that some settings ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2

from engines.backends import EngineError
from engines.models import ModelError
from engines.recognition.calibration import CalibrationError
from engines.recognition.enrolled import GallerySnapshot
from engines.recognition.gallery import Gallery, GalleryError
from engines.recognition.matcher import Matcher
from stream.archive.footage import Run
from stream.calibration import calibration_of
from stream.config import Attributes, ConfigError, Events, Recording, Settings, parse
from stream.inference import Inference
from stream.messages import FrameResult
from stream.networks import Networks, load_networks
from stream.replay.steps import Step, picture

Progress = Callable[[str, float], None]


class ReplayError(RuntimeError):
    """What a person must mend before a recording can be processed again."""


def settings_of(run: Run) -> Settings:
    """The settings of a recorded run. Raises ReplayError when this version does not know them."""
    try:
        return parse(dict(run.settings), f"settings recorded with run {run.id} by version {run.version}")
    except ConfigError as error:
        raise ReplayError(str(error)) from None


class Laboratory:
    """Runs Inference as the stage does live, fed with recorded steps.

    A new process of inference (another epoch) begins with an empty memory, as it did live. gallery: the version that
    is matched against, 0 without one. notes: what people should know, a sentence each.
    """

    def __init__(self, settings: Settings, progress: Progress, share: Networks | None = None) -> None:
        """share: networks of other settings, used where they are the same. Raises ReplayError."""
        cv2.setNumThreads(1)
        if not settings.attributes.store:  # nor is estimated anew what was not to be kept
            settings = settings.model_copy(update={"attributes": Attributes()})
        # Nothing is recorded of a recording, and who is looked for does not hang on the cameras.
        self._settings = settings.model_copy(
            update={"cameras": (), "recording": Recording(), "events": Events()}
        )
        try:
            self.networks = share or load_networks(settings, progress)
            self._matcher, self.notes = _matcher(settings, self.networks)
        except (CalibrationError, EngineError, GalleryError, ModelError) as error:
            raise ReplayError(str(error)) from error
        self._inference = Inference(self._settings, self.networks, self._matcher)
        self._epoch: tuple[int, int] | None = None

    @property
    def gallery(self) -> int:
        """The version of the gallery in use."""
        return self._matcher.snapshot.version

    @property
    def engines(self) -> dict[str, Any]:
        """The engines in use, as plain values."""
        return plain_engines(self.networks.engines)

    def process(self, step: Step) -> Sequence[FrameResult]:
        """What is seen on the frames of a step, in their order."""
        epoch = step.epoch, 0 if step.epoch else step.run
        if self._epoch != epoch:
            self._epoch = epoch
            self._inference = Inference(self._settings, self.networks, self._matcher, epoch=step.epoch)
        if not step.frames:
            return []
        results, _, _ = self._inference.step([picture(frame) for frame in step.frames])
        return results


def plain_engines(engines: Mapping[str, Any]) -> dict[str, Any]:
    """Engines as the archive keeps them."""
    import msgspec

    return {name: msgspec.to_builtins(engine) for name, engine in engines.items()}


def _matcher(settings: Settings, networks: Networks) -> tuple[Matcher, list[str]]:
    path: Path = settings.recognition.gallery
    generator = networks.engines["unmask"].model_sha256 if networks.unmasker else ""
    notes = []
    snapshot = GallerySnapshot.empty()
    if path.exists():
        with Gallery(path) as gallery:
            snapshot = gallery.load(networks.evidence.space, networks.evidence.views_space)
    else:
        notes.append(f"{path}: there is no gallery here, so nobody can be named")
    chosen = settings.recognition
    calibration = calibration_of(chosen, networks.evidence.space)
    matcher = Matcher(snapshot, calibration, chosen.prior_enrolled, generator, chosen.false_alarms)
    return matcher, [*notes, *matcher.notes, *networks.notes]
