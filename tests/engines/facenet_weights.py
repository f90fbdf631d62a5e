"""facenet-pytorch's own network, and weights for it that no training made: real ones cannot be shipped."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch


def peer_network(**options: Any) -> Any:
    """facenet-pytorch's network, from its file alone: the package itself imports torchvision."""
    spec = importlib.util.find_spec("facenet_pytorch")
    assert spec is not None and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "models"
    # As a package of its own, so that its import of .utils.download finds the file beside it.
    spec = importlib.util.spec_from_file_location(
        "facenet_peer", folder / "inception_resnet_v1.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.InceptionResnetV1(**options)


def random_state() -> dict[str, torch.Tensor]:
    """Weights under which what is seen still matters at the end, and statistics as after a training."""
    torch.manual_seed(1)
    state = peer_network().state_dict()
    for name, value in state.items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.3)
        elif name.endswith("running_var"):
            value.uniform_(0.3, 2)
        elif ".bn.weight" in name or "last_bn.weight" in name:
            value.uniform_(0.7, 1.5)
        elif name.endswith("bias"):
            value.normal_(0, 0.2)
        elif name.endswith("weight") and value.ndim >= 2:
            value.normal_(0, (2 / value[0].numel()) ** 0.5)
    return state


@cache
def weights_file(folder: Path) -> Path:
    """A weight file with them."""
    torch.save(random_state(), folder / "weights.pt")
    return folder / "weights.pt"
