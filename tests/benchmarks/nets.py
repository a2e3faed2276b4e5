"""The nets whose training steps are raced, by name: perceptrons, nets of images, and a transformer."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

from images import IMAGE_NETS
from numpy import ndarray as Array
from perceptrons import jax_perceptron, numpy_perceptron
from training import Net, Twin, labelled, with_weights
from transformer import TRANSFORMER

import minnet

ADAM = {"lr": 0.001}


def perceptron(*sizes: int) -> minnet.Sequential:
    layers: list[minnet.Layer] = []
    for features, units in pairwise(sizes):
        layers += [minnet.Linear(features, units), minnet.ReLU()]
    return minnet.Sequential(*layers[:-1], minnet.SoftmaxCrossEntropy())


def torch_perceptron(sizes: tuple[int, ...], weights: list[Array]) -> Twin:
    from torch import nn

    layers: list[Any] = []
    for features, units in pairwise(sizes):
        layers += [nn.Linear(features, units), nn.ReLU()]
    return with_weights(nn.Sequential(*layers[:-1]), weights)


def regularised() -> minnet.Sequential:
    """The Linear in front of a norm has no bias, which the norm would take away again."""
    layers: list[minnet.Layer] = []
    for features in (784, 1024):
        layers += [
            minnet.Linear(features, 1024, bias=False),
            minnet.BatchNorm(1024),
            minnet.ReLU(),
            minnet.Dropout(0.5),
        ]
    return minnet.Sequential(*layers, minnet.Linear(1024, 10), minnet.SoftmaxCrossEntropy())


def torch_regularised(weights: list[Array]) -> Twin:
    from torch import nn

    layers: list[Any] = []
    for features in (784, 1024):
        layers += [nn.Linear(features, 1024, bias=False), nn.BatchNorm1d(1024), nn.ReLU(), nn.Dropout(0.5)]
    return with_weights(nn.Sequential(*layers, nn.Linear(1024, 10)), weights)


def perceptron_net(batch_size: int, *sizes: int, steps: int) -> Net:
    title = f"perceptron {'-'.join(map(str, sizes))}, batch {batch_size}, Adam"
    others = {"NumPy": numpy_perceptron, "JAX jit": jax_perceptron}
    make, in_torch = partial(perceptron, *sizes), partial(torch_perceptron, sizes)
    return Net(title, make, labelled(batch_size, sizes[0]), in_torch, "Adam", ADAM, steps, others=others)


NETS = {
    "small": perceptron_net(32, 64, 64, 10, steps=200),
    "perceptron": perceptron_net(128, 784, 256, 128, 10, steps=20),
    "large": perceptron_net(256, 784, 1024, 1024, 10, steps=6),
    "regularised": Net(
        "perceptron 784-1024-1024-10, batch 256, Adam, with batch norm and dropout",
        regularised,
        labelled(256, 784),
        torch_regularised,
        "Adam",
        ADAM,
        steps=6,
    ),
    **IMAGE_NETS,
    "transformer": TRANSFORMER,
}
