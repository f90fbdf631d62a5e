"""What pairs and triplets of embeddings cost, and which of a batch are compared.

Contrastive: Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", 2006. Triplet with
semi-hard mining: Schroff, Kalenichenko and Philbin, "FaceNet", 2015; with the hardest of a batch: Hermans, Beyer and
Leibe, "In Defense of the Triplet Loss", 2017. Embeddings are of unit length, so distances go from 0 to 2.
"""

from __future__ import annotations

from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional as F

MARGINS = {"contrastive": 1.0, "triplet": 0.2}
"""Contrastive: distance from which on two people cost nothing. Triplet: by how much nearer one's own picture must be,
in squared distance."""


class Loss(StrEnum):
    """Which loss."""

    CONTRASTIVE = "contrastive"
    TRIPLET = "triplet"


class Mining(StrEnum):
    """Which comparisons of a batch count."""

    ALL = "all"
    SEMI_HARD = "semi-hard"
    HARD = "hard"


def distances(embeddings: Tensor) -> Tensor:
    """Squared distances [N, N], 0 to 4, of unit embeddings [N, D]."""
    return (2 - 2 * embeddings @ embeddings.T).clamp_min(0)


def contrastive(embeddings: Tensor, people: Tensor, mining: Mining, margin: float) -> Tensor:
    """The mean cost of the pairs that count. people: int [N]. Zero where the batch has no pairs of one person.

    All pairs of one person count. Of pairs of two: all; or as many of the nearest as there are pairs of one (hard); or
    as many of the nearest that are farther apart than either's farthest own picture, which may still be inside the
    margin (semi-hard).
    """
    squared = distances(embeddings)
    upper = torch.triu(torch.ones_like(squared, dtype=torch.bool), 1)
    same = people[:, None] == people[None]
    own, other = upper & same, upper & ~same
    if not own.any():
        return embeddings.sum() * 0
    apart = (squared + 1e-9).sqrt()
    near = squared[own]
    if mining is Mining.SEMI_HARD:
        farthest = torch.where(same, squared, -1.0).max(1).values.detach()
        other = other & (squared > torch.maximum(farthest[:, None], farthest[None]))
    far = apart[other]
    if mining is not Mining.ALL:
        far = far.topk(min(len(near), len(far)), largest=False).values
    return torch.cat([near, F.relu(margin - far).square()]).mean()


def triplet(embeddings: Tensor, people: Tensor, mining: Mining, margin: float) -> Tensor:
    """The mean cost of the triplets that count. people: int [N]. Zero where the batch has no triplet.

    All: every anchor with each of its own pictures and each other person's, those that cost something. Semi-hard: for
    each anchor and own picture the nearest other that is farther than the own one, or the farthest if none is. Hard:
    for each anchor the farthest own picture and the nearest other.
    """
    squared = distances(embeddings)
    same = people[:, None] == people[None]
    own, other = same & ~torch.eye(len(people), dtype=torch.bool), ~same
    if not own.any() or not other.any():
        return embeddings.sum() * 0
    if mining is Mining.HARD:
        anchors = own.any(1)
        farthest = torch.where(own, squared, -1.0).max(1).values
        nearest = torch.where(other, squared, 9.0).min(1).values
        return F.relu(farthest - nearest + margin)[anchors].mean()
    anchor, positive = own.nonzero(as_tuple=True)
    near = squared[anchor, positive]
    far = squared[anchor]
    if mining is Mining.SEMI_HARD:
        farther = other[anchor] & (far > near[:, None])
        nearest = torch.where(farther, far, 9.0).min(1).values
        farthest = torch.where(other[anchor], far, -1.0).max(1).values
        return F.relu(near - torch.where(farther.any(1), nearest, farthest) + margin).mean()
    cost = F.relu(near[:, None] - far + margin)[other[anchor]]
    counts = (cost > 0).sum().clamp_min(1)
    return cost.sum() / counts


LOSSES = {Loss.CONTRASTIVE: contrastive, Loss.TRIPLET: triplet}
