"""facenet-pytorch's own MTCNN, importable beside a torch that its torchvision was not built for.

Stand-ins for the two things that it takes from torchvision are registered first: transforms.functional, which
detection never calls, and ops.boxes.batched_nms, which is written out here as torchvision documents it, on whole
arrays, so that it takes about as little of detection's time as torchvision's own.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import torch


def batched_nms(
    boxes: torch.Tensor, scores: torch.Tensor, idxs: torch.Tensor, iou_threshold: float
) -> torch.Tensor:
    """Greedy suppression of overlaps above the threshold inside each group; indices by falling score."""
    order = np.argsort(-scores.cpu().numpy(), kind="stable")
    b, group = boxes.cpu().numpy()[order], idxs.cpu().numpy()[order]
    area = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    width = np.minimum(b[:, None, 2], b[:, 2]) - np.maximum(b[:, None, 0], b[:, 0])
    height = np.minimum(b[:, None, 3], b[:, 3]) - np.maximum(b[:, None, 1], b[:, 1])
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    rival = shared / (area[:, None] + area - shared) > iou_threshold
    rival &= group[:, None] == group
    alive = np.ones(len(b), bool)
    for index in range(len(b)):
        if alive[index]:
            alive[index + 1 :] &= ~rival[index, index + 1 :]
    kept = order[alive]
    return torch.as_tensor(kept, device=boxes.device)


def facenet_mtcnn(device: str = "cpu", **options: Any) -> Any:
    """facenet_pytorch.MTCNN(keep_all=True, device=device, **options)."""
    names = ("torchvision", "torchvision.transforms", "torchvision.ops", "torchvision.ops.boxes")
    before = {name: sys.modules.get(name) for name in names}
    modules: dict[str, Any] = {name: ModuleType(name) for name in names}
    modules["torchvision.transforms"].functional = ModuleType("torchvision.transforms.functional")
    modules["torchvision.ops.boxes"].batched_nms = batched_nms
    sys.modules.update(modules)
    try:
        from facenet_pytorch import MTCNN
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return MTCNN(keep_all=True, device=device, **options)
