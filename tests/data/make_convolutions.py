"""Writes convolutions.npz: what PyTorch 2.13 gives for options of convolutions and for larger images, in float64.

Its "same" with strides is padded by hand as Keras does it: python tests/data/make_convolutions.py
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

rng = np.random.default_rng(0)
arrays = {}


def first(x):
    """Channels last to channels first."""
    return torch.tensor(np.moveaxis(x, -1, 1), requires_grad=True)


def keep(name, x, y, *more):
    dy = rng.normal(size=y.shape)
    y.backward(torch.tensor(dy))
    arrays[f"{name} x"] = np.moveaxis(x.detach().numpy(), 1, -1)
    arrays[f"{name} y"] = np.moveaxis(y.detach().numpy(), 1, -1)
    arrays[f"{name} dy"] = np.moveaxis(dy, 1, -1)
    arrays[f"{name} dx"] = np.moveaxis(x.grad.numpy(), 1, -1)
    for key, W, axes in more:
        arrays[f"{name} {key}"] = W.detach().numpy().transpose(axes)
        arrays[f"{name} d{key}"] = W.grad.numpy().transpose(axes)


for mode, scale, shape in (
    ("nearest", (2, 3), (2, 3, 2, 2)),
    ("bilinear", (2, 3), (2, 3, 2, 2)),
    ("bilinear", (4, 1), (1, 1, 5, 1)),
):
    x = first(rng.normal(size=shape))
    corners = {"align_corners": False} if mode == "bilinear" else {}
    keep(f"{mode} {scale} {shape}", x, F.interpolate(x, scale_factor=tuple(map(float, scale)), mode=mode, **corners))

for stride, padding, more in ((2, 1, 1), (3, 0, 2)):
    x, W = first(rng.normal(size=(2, 3, 2, 2))), torch.tensor(rng.normal(size=(2, 3, 3, 3)), requires_grad=True)
    y = F.conv_transpose2d(x, W, stride=stride, padding=padding, output_padding=more)
    keep(f"transposed {stride} {padding} {more}", x, y, ("W", W, (2, 3, 0, 1)))

for n, k, s, d in ((6, 3, 2, 1), (7, 3, 2, 1), (8, 2, 3, 1), (9, 3, 2, 2), (5, 1, 3, 1), (4, 5, 4, 1)):
    x, W = first(rng.normal(size=(2, n, n + 1, 2))), torch.tensor(rng.normal(size=(3, 2, k, k)), requires_grad=True)
    totals = [max((math.ceil(size / s) - 1) * s + d * (k - 1) + 1 - size, 0) for size in (n + 1, n)]
    pads = [part for total in totals for part in (total // 2, total - total // 2)]
    keep(f"same {n} {k} {s} {d}", x, F.conv2d(F.pad(x, pads), W, stride=s, dilation=d), ("W", W, (2, 3, 1, 0)))

np.savez_compressed(Path(__file__).with_name("convolutions.npz"), **arrays)
