"""Convolutional nets: LeNet, and a residual net with batch norm as He et al. 2016 have it for images of 32×32."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray as Array
from training import Net, Twin, labelled, with_weights

import minnet

CHANNELS = 16, 32, 64  # of the stages of the residual net


def lenet() -> minnet.Sequential:
    return minnet.Sequential(
        minnet.Conv2d(1, 6, 5, padding=2),
        minnet.ReLU(),
        minnet.MaxPool2d(2),
        minnet.Conv2d(6, 16, 5),
        minnet.ReLU(),
        minnet.MaxPool2d(2),
        minnet.Flatten(),
        minnet.Linear(400, 120),
        minnet.ReLU(),
        minnet.Linear(120, 84),
        minnet.ReLU(),
        minnet.Linear(84, 10),
        minnet.SoftmaxCrossEntropy(),
    )


def torch_lenet(weights: list[Array]) -> Twin:
    from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential

    images = [Conv2d(1, 6, 5, padding=2), ReLU(), MaxPool2d(2), Conv2d(6, 16, 5), ReLU(), MaxPool2d(2), Flatten()]
    module = Sequential(*images, Linear(400, 120), ReLU(), Linear(120, 84), ReLU(), Linear(84, 10))
    flat = np.arange(400).reshape(16, 5, 5).transpose(1, 2, 0).reshape(-1)  # where PyTorch's Flatten puts ours
    module, ours = with_weights(module, [*weights[:4], weights[4][np.argsort(flat)], *weights[5:]])

    def in_our_order() -> list[Array]:
        arrays = ours()
        return [*arrays[:4], arrays[4][flat], *arrays[5:]]

    return module, in_our_order


def residual_net() -> minnet.Sequential:
    """A convolution in front of a norm has no bias, which the norm would take away again."""

    def convolution(channels: int, out: int, **where: Any) -> list[minnet.Layer]:
        return [minnet.Conv2d(channels, out, 3, bias=False, **where), minnet.BatchNorm(out)]

    layers: list[minnet.Layer] = []
    for channels, out in zip((3, *CHANNELS), CHANNELS):
        smaller = {"padding": "same"} if channels == 3 else {"stride": 2, "padding": 1}
        inside = [convolution(out, out, padding="same") for _ in range(2)]
        layers += [*convolution(channels, out, **smaller), minnet.ReLU()]
        layers += [minnet.Residual(*inside[0], minnet.ReLU(), *inside[1]), minnet.ReLU()]
    layers += [minnet.GlobalAveragePool(), minnet.Linear(CHANNELS[-1], 10)]
    return minnet.Sequential(*layers, minnet.SoftmaxCrossEntropy())


def torch_residual_net(weights: list[Array]) -> Twin:
    from torch import nn

    class Residual(nn.Module):
        def __init__(self, *layers: Any) -> None:
            super().__init__()
            self.layers = nn.Sequential(*layers)

        def forward(self, x: Any) -> Any:
            y = self.layers(x)
            y += x
            return y

    def convolution(channels: int, out: int, stride: int = 1) -> list[Any]:
        return [nn.Conv2d(channels, out, 3, stride, padding=1, bias=False), nn.BatchNorm2d(out)]

    layers: list[Any] = []
    for channels, out in zip((3, *CHANNELS), CHANNELS):
        layers += [*convolution(channels, out, stride=1 if channels == 3 else 2), nn.ReLU(inplace=True)]
        inside = [*convolution(out, out), nn.ReLU(inplace=True), *convolution(out, out)]
        layers += [Residual(*inside), nn.ReLU(inplace=True)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS[-1], 10)]
    return with_weights(nn.Sequential(*layers), weights)


IMAGE_NETS = {
    "lenet": Net(
        "LeNet on 28×28×1, batch 64, SGD", lenet, labelled(64, 28, 28, 1), torch_lenet, "SGD", {"lr": 0.01}, steps=8
    ),
    "residual": Net(
        "residual net of 16-32-64 channels with batch norm on 32×32×3, batch 64, SGD",
        residual_net,
        labelled(64, 32, 32, 3),
        torch_residual_net,
        "SGD",
        {"lr": 0.01},
        steps=2,
    ),
}
