"""facenet-pytorch's own MTCNN, importable beside a torch that its torchvision was not built for.

Stand-ins for the two things that it takes from torchvision are registered first: transforms.functional, which
detection never calls, and ops.boxes.batched_nms, which is written out here as torchvision documents it.
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
    b, group = boxes.numpy(), idxs.numpy()
    area = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    order = np.argsort(-scores.numpy(), kind="stable")
    kept = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(best)
        width = np.minimum(b[best, 2], b[rest, 2]) - np.maximum(b[best, 0], b[rest, 0])
        height = np.minimum(b[best, 3], b[rest, 3]) - np.maximum(b[best, 1], b[rest, 1])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        overlap = shared / (area[best] + area[rest] - shared)
        order = rest[(overlap <= iou_threshold) | (group[rest] != group[best])]
    return torch.as_tensor(np.array(kept, np.int64))


def facenet_mtcnn(**options: Any) -> Any:
    """facenet_pytorch.MTCNN(keep_all=True, device="cpu", **options)."""
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
    return MTCNN(keep_all=True, device="cpu", **options)
