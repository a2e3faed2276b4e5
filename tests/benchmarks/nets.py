"""Training steps of whole nets, forward, backward and update, in minnet and in PyTorch from the same weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from harness import THREADS, Contestant, Race
from layers import images_first, tensor
from numpy import ndarray as Array

import minnet

LR, MOMENTUM = 0.01, 0.9


@dataclass(frozen=True)
class Net:
    """The same net twice: in_torch takes minnet's weights, and gives a module and its weights in minnet's layout."""

    title: str
    make: Callable[[], minnet.Sequential]
    shape: tuple[int, ...]
    in_torch: Callable[[list[Array]], tuple[Any, Callable[[], list[Array]]]]


def perceptron() -> minnet.Sequential:
    return minnet.Sequential(
        minnet.Linear(784, 256),
        minnet.ReLU(),
        minnet.Linear(256, 128),
        minnet.ReLU(),
        minnet.Linear(128, 10),
        minnet.SoftmaxCrossEntropy(),
    )


def torch_perceptron(weights: list[Array]) -> tuple[Any, Callable[[], list[Array]]]:
    from torch.nn import Linear, ReLU, Sequential

    module = Sequential(Linear(784, 256), ReLU(), Linear(256, 128), ReLU(), Linear(128, 10))
    for parameter, array in zip(module.parameters(), weights):
        parameter.data = tensor(array.T)
    return module, lambda: [parameter.detach().numpy().T for parameter in module.parameters()]


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


def torch_lenet(weights: list[Array]) -> tuple[Any, Callable[[], list[Array]]]:
    from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential

    images = [Conv2d(1, 6, 5, padding=2), ReLU(), MaxPool2d(2), Conv2d(6, 16, 5), ReLU(), MaxPool2d(2), Flatten()]
    module = Sequential(*images, Linear(400, 120), ReLU(), Linear(120, 84), ReLU(), Linear(84, 10))
    flat = np.arange(400).reshape(16, 5, 5).transpose(1, 2, 0).reshape(-1)  # where PyTorch's Flatten puts ours
    for i, (parameter, array) in enumerate(zip(module.parameters(), weights)):
        if array.ndim == 4:
            parameter.data = tensor(array.transpose(3, 2, 0, 1))
        elif i == 4:
            parameter.data = tensor(array[np.argsort(flat)].T)
        else:
            parameter.data = tensor(array.T)

    def ours() -> list[Array]:
        arrays = [parameter.detach().numpy().T for parameter in module.parameters()]
        arrays[4] = arrays[4][flat]
        return [array.transpose(1, 0, 2, 3) if array.ndim == 4 else array for array in arrays]

    return module, ours


NETS = {
    "perceptron": Net("A perceptron 784-256-128-10, batch 128", perceptron, (128, 784), torch_perceptron),
    "lenet": Net("LeNet on 28×28 images, batch 64", lenet, (64, 28, 28, 1), torch_lenet),
}


def net_race(name: str, quick: bool) -> Race:
    net = NETS[name]
    rng = np.random.default_rng(0)
    x, y = rng.random(net.shape, np.float32), rng.integers(0, 10, net.shape[0])
    minnet.seed(0)
    model = net.make()
    weights = [parameter.data.copy() for parameter in model.parameters()]
    contestants = {
        "minnet": partial(minnet_net, model, x, y),
        "PyTorch": partial(torch_net, net, weights, x, y),
    }
    title = f"A training step: {net.title}, SGD with momentum"
    return Race(name, title, contestants, rounds=9 if quick else 60, steps=4, unit="ms a step", scale=1e-3)


def minnet_net(model: minnet.Sequential, x: Array, y: Array) -> Contestant:
    optimizer = minnet.SGD(model.parameters(), LR, MOMENTUM)

    def run() -> None:
        for _ in range(4):
            model(x, y)
            model.backward()
            optimizer.step()

    return Contestant(run, lambda: [parameter.data for parameter in model.parameters()])


def torch_net(net: Net, weights: list[Array], x: Array, y: Array) -> Contestant:
    import torch

    torch.set_num_threads(THREADS)
    module, ours = net.in_torch(weights)
    optimizer = torch.optim.SGD(module.parameters(), LR, MOMENTUM)
    criterion, given, target = torch.nn.CrossEntropyLoss(), tensor(images_first(x)), torch.tensor(y)

    def run() -> None:
        for _ in range(4):
            optimizer.zero_grad()
            loss = criterion(module(given), target)
            loss.backward()
            optimizer.step()
            loss.item()

    return Contestant(run, ours)
