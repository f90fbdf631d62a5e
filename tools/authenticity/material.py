"""What a network is given, epoch by epoch: augmented crops, or what a trunk that keeps its weights has seen in them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor, nn
from torch.utils.data import Dataset

from engines.masks.authenticity import CROP_SIZE
from tools.authenticity.augment import Preparation, augmented, cut, treat
from tools.authenticity.examples import Examples

_AT_ONCE = 64

Numbers = NDArray[np.intp]
Given = Dataset[tuple[Tensor, Tensor]]
"""Of each example what the network takes, and its label float32 [1]."""


class Material(Protocol):
    """Where batches come from. workers: whether other processes should prepare them."""

    examples: Examples
    workers: int

    def learning(self, which: Numbers, epoch: int) -> Given:
        """For training: each epoch otherwise, the same for the same epoch."""

    def checking(self, which: Numbers) -> Given:
        """For validation: the same each time, half of them spoilt as for training."""


class _Crops(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, pictures: Pictures, which: Numbers, epoch: int | None) -> None:
        self._pictures, self._which, self._epoch = pictures, which, epoch

    def __len__(self) -> int:
        return len(self._which)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        number = int(self._which[place])
        key = number if self._epoch is None else place
        crop = self._pictures.crop(number, self._epoch, key)
        return crop, torch.tensor([self._pictures.labels[number]])


class Pictures:
    """Crops float32 [3, S, S] in 0..1."""

    def __init__(
        self, examples: Examples, size: int, preparations: tuple[Preparation, ...], seed: int, workers: int
    ) -> None:
        self.examples, self.labels, self.workers = examples, examples.labels, workers
        self._size, self._preparations, self._seed = size, preparations, seed

    def learning(self, which: Numbers, epoch: int) -> Given:
        """As Material."""
        return _Crops(self, which, epoch)

    def checking(self, which: Numbers) -> Given:
        """As Material."""
        return _Crops(self, which, None)

    def crop(self, number: int, epoch: int | None, key: int) -> Tensor:
        """One crop. epoch: None for validation. key: what tells crops of one epoch apart."""
        view = np.asarray(self.examples.pictures[number])
        if epoch is not None:
            made = augmented(view, np.random.default_rng([self._seed, epoch, 0, key]))
        else:
            made = augmented(view, np.random.default_rng([self._seed, number])) if number % 2 else cut(view)
        treated = treat(made, self._preparations)
        if self._size != CROP_SIZE:
            size = (self._size, self._size)
            treated = np.asarray(cv2.resize(treated, size, interpolation=cv2.INTER_AREA), np.uint8)
        return torch.from_numpy(np.ascontiguousarray(treated.transpose(2, 0, 1))).float() / 255


class _Seen(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, seen: SeenOnce, which: Numbers, epoch: int | None) -> None:
        self._seen, self._which, self._epoch = seen, which, epoch

    def __len__(self) -> int:
        return len(self._which)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        number = int(self._which[place])
        return self._seen.look(number, self._epoch, place), torch.tensor([self._seen.labels[number]])


class SeenOnce:
    """What a held trunk sees in some augmented views of each example, computed once and kept in a folder.

    An epoch takes one of the views of each example by chance. The folder is gone on with where it was stopped.
    """

    workers = 0

    def __init__(self, pictures: Pictures, trunk: nn.Module, folder: Path, views: int, key: str) -> None:
        """views: augmented ones of each training example. key: what the kept ones must have been made of."""
        self.examples, self.labels = pictures.examples, pictures.labels
        self._pictures, self._trunk, self._folder, self._views, self._key = (
            pictures,
            trunk,
            folder,
            views,
            key,
        )
        self._kept: NDArray[np.float16] | None = None
        learnt = self.examples.part("train").tolist()
        jobs = [(number, None) for number in self.examples.part("validation").tolist()]
        self._jobs: list[tuple[int, int | None]] = [
            *jobs,
            *((number, view) for view in range(views) for number in learnt),
        ]
        self._row = {job: row for row, job in enumerate(self._jobs)}

    @torch.no_grad()
    def see(self, progress: Progress) -> None:
        """Computes what is not kept yet."""
        self._folder.mkdir(parents=True, exist_ok=True)
        width = int(self._trunk(self._pictures.crop(0, None, 0)[None]).shape[1])
        array, state = self._folder / "seen.npy", self._folder / "seen.json"
        made_of, rows = {"key": self._key, "width": width}, len(self._jobs)
        done = _done(state, made_of) if array.is_file() else 0
        if done:
            kept = np.lib.format.open_memmap(array, "r+")
            done = (
                0 if len(kept) < rows else min(done, rows)
            )  # with fewer views than before, the rest is left alone
        if not done:
            kept = np.lib.format.open_memmap(array, "w+", np.float16, (rows, width))
        bar = progress.add_task("looking at pictures", total=rows, completed=done, state="")
        for start in range(done, rows, _AT_ONCE):
            jobs = self._jobs[start : start + _AT_ONCE]
            batch = torch.stack([self._pictures.crop(number, view, number) for number, view in jobs])
            with torch.autocast("cpu", torch.bfloat16):
                found = self._trunk(batch.contiguous(memory_format=torch.channels_last))
            kept[start : start + len(jobs)] = found.float().numpy()
            draft = state.with_suffix(".tmp")
            draft.write_text(json.dumps({**made_of, "done": start + len(jobs)}))
            os.replace(draft, state)
            progress.update(bar, completed=start + len(jobs))
        kept.flush()
        self._kept = kept

    def learning(self, which: Numbers, epoch: int) -> Given:
        """As Material."""
        return _Seen(self, which, epoch)

    def checking(self, which: Numbers) -> Given:
        """As Material."""
        return _Seen(self, which, None)

    def look(self, number: int, epoch: int | None, place: int) -> Tensor:
        """What was seen of an example, float32 [width]."""
        if self._kept is None:
            raise RuntimeError("see() must be called first")
        view = None if epoch is None else int(np.random.default_rng([epoch, place]).integers(self._views))
        return torch.from_numpy(self._kept[self._row[number, view]].astype(np.float32))


def _done(state: Path, made_of: dict[str, object]) -> int:
    """How many rows are there that were made of the same."""
    try:
        before = json.loads(state.read_text(encoding="utf-8"))
        same = all(before[name] == value for name, value in made_of.items())
        return int(before["done"]) if same else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0
