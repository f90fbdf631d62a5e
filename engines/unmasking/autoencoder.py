"""The convolutional autoencoder that unmasking began with: the whole picture anew, out of one vector.

A baseline to train and to measure beside the default (`unet`). Nothing of the picture goes past the vector, so eyes and
background are a guess too. `tools.evaluate_unmasking` gives its papers' figures under names that say what they are.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from engines.unmasking.network import SIZE, convolution

_WIDTHS = (32, 64, 128, 256, 256)
_SMALLEST = SIZE >> len(_WIDTHS)
_EVERYWHERE = 20.0  # a logit whose sigmoid is 1


class Autoencoder(nn.Module):
    """x -> (rgb, mask logit), as network.Generator; all of the picture counts as painted."""

    def __init__(self, latent: int = 512) -> None:
        """latent: length of the vector between encoder and decoder."""
        super().__init__()
        narrow = _WIDTHS[-1] * _SMALLEST**2
        pairs = list(zip((3, *_WIDTHS), _WIDTHS, strict=False))
        self.encoder = nn.Sequential(*(convolution(low, high, 2) for low, high in pairs))
        self.squeeze = nn.Linear(narrow, latent)
        self.widen = nn.Linear(latent, narrow)
        self.decoder = nn.ModuleList(convolution(high, max(low, 16)) for low, high in reversed(pairs))
        self.head = nn.Conv2d(16, 3, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: [N, 3, 128, 128] in -1..1. Returns rgb [N, 3, 128, 128], about -1..1, and logit [N, 1, 128, 128]."""
        h = self.widen(self.squeeze(self.encoder(x).flatten(1)))
        h = F.leaky_relu(h, 0.1).reshape(-1, _WIDTHS[-1], _SMALLEST, _SMALLEST)
        for block in self.decoder:
            h = block(F.interpolate(h, scale_factor=2.0, mode="nearest"))
        rgb = self.head(h)
        return rgb, rgb[
            :, :1
        ] * 0 + _EVERYWHERE  # of its shape, without arithmetic of shapes in the exported graph
