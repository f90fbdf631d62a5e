"""The head of a network learns by itself: what lies below it is frozen, so its features are computed once."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional as F

from engines.attributes.gender import GENDERS, Gender
from tools.attributes.networks import Network
from tools.attributes.training import as_tensor, plain_crop
from tools.attributes.views import view
from tools.learning.faces import LabelledFace
from tools.learning.pairs import Templates

_BATCH, _SAVED_EVERY_S = 32, 60.0
_LAST, _FACTOR, _MOST_EPOCHS = 0.01, 0.3, 200


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """values: float32 [N, C]. labels: int64 [N]. weights: float32 [N], how often each is to be drawn."""

    values: Tensor
    labels: Tensor
    weights: Tensor


@torch.no_grad()
def features_of(network: Network, pictures: NDArray[np.uint8]) -> Tensor:
    """float32 [N, C] of uint8 RGB [N, S, S, 3]."""
    network.eval()
    with torch.autocast("cpu", torch.bfloat16):
        return torch.cat(
            [network.features(part).float() for part in torch.split(as_tensor(pictures), _BATCH)]
        )


def extract(
    network: Network,
    faces: Sequence[LabelledFace],
    side: int,
    templates: Templates | None,
    looks: int,
    seed: int,
    path: Path,
    seconds: float,
    progress: Progress,
) -> Features:
    """Features of `looks` looks at each face, in random order: one as photographed, the others as cameras see them.

    They are kept in `path` and gone on with from there. seconds: after so many, those that are there will do.
    """
    order = np.random.default_rng(seed).permutation(len(faces) * looks)
    said = f"{type(network).__name__} {side} {seed} {looks} " + " ".join(face.path.name for face in faces)
    key = hashlib.sha256(said.encode()).hexdigest()
    found = _kept(path, key)
    began = saved = time.monotonic()
    bar = progress.add_task("features", total=len(order), completed=len(found), state="")
    while len(found) < len(order) and (time.monotonic() - began < seconds or not len(found)):
        chosen = order[len(found) : len(found) + _BATCH]
        pictures = np.stack(
            [_look(faces[n // looks], n % looks, side, templates, (seed, int(n))) for n in chosen]
        )
        new = features_of(network, pictures).numpy().astype(np.float16)
        found = np.concatenate([found, new]) if len(found) else new
        progress.update(bar, completed=len(found))
        if time.monotonic() - saved > _SAVED_EVERY_S:
            _keep(path, key, found)
            progress.console.print(f"features of {len(found)} looks of {len(order)}")
            saved = time.monotonic()
    _keep(path, key, found)
    shown = [faces[n // looks] for n in order[: len(found)]]
    labels = [GENDERS.index(Gender(face.group["gender"])) for face in shown]
    return Features(torch.from_numpy(found).float(), torch.tensor(labels), _balanced(shown))


def fit_head(
    network: Network,
    learning: Features,
    checking: tuple[Tensor, Tensor],
    rate: float,
    patience: int,
    seed: int,
) -> list[tuple[float, float, float, float]]:
    """The head learns to a plateau, which takes seconds; it keeps the weights of the best check.

    checking: features and labels. Returns rows of (epoch, loss of training, loss of checking, share wrong there).
    """
    torch.manual_seed(seed)
    head = network.head
    optimizer = torch.optim.AdamW(head.parameters(), rate, weight_decay=0.05)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=_FACTOR, patience=patience)
    best, kept, rows = float("inf"), head.state_dict(), list[tuple[float, float, float, float]]()
    while optimizer.param_groups[0]["lr"] > _LAST * rate and len(rows) < _MOST_EPOCHS:
        head.train()
        total = 0.0
        drawn = torch.multinomial(learning.weights, len(learning.labels), replacement=True)
        batches = [batch for batch in torch.split(drawn, 256) if len(batch) > 1]
        for batch in batches:
            loss = F.cross_entropy(head(learning.values[batch]), learning.labels[batch], label_smoothing=0.02)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            total += float(loss.detach())
        head.eval()
        with torch.no_grad():
            logits = head(checking[0])
        held_out = float(F.cross_entropy(logits, checking[1]))
        wrong = float((logits.argmax(1) != checking[1]).float().mean())
        rows.append((len(rows) + 1.0, total / max(len(batches), 1), held_out, wrong))
        plateau.step(held_out)
        if held_out < best:
            best, kept = held_out, {name: value.clone() for name, value in head.state_dict().items()}
    head.load_state_dict(kept)
    return rows


def _look(
    face: LabelledFace, look: int, side: int, templates: Templates | None, seed: tuple[int, int]
) -> NDArray[np.uint8]:
    if look == 0:
        return plain_crop(face, side)
    return view(face.read(), face.landmarks, np.random.default_rng(seed), side, templates)


def _balanced(faces: Sequence[LabelledFace]) -> Tensor:
    """Each gender as often, and within it each group."""
    cell = [(face.group["gender"], face.group.get("race", "")) for face in faces]
    count, groups = Counter(cell), Counter(gender for gender, _ in set(cell))
    return torch.tensor([1 / (count[each] * groups[each[0]]) for each in cell], dtype=torch.float32)


def _kept(path: Path, key: str) -> NDArray[np.float16]:
    if path.is_file():
        with np.load(path) as file:
            if str(file["key"]) == key:
                return np.asarray(file["values"], np.float16)
    return np.zeros((0, 0), np.float16)


def _keep(path: Path, key: str, values: NDArray[np.float16]) -> None:
    draft = path.with_suffix(".tmp.npz")
    np.savez(draft, key=np.array(key), values=values)
    draft.replace(path)
