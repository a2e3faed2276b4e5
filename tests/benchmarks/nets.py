"""Training steps of whole nets, forward, backward and update, in minnet and in PyTorch from the same weights.

A run starts from the first weights again, untimed, and takes one step on each of some batches: a net that sees one
batch for ever learns it by heart, and then it is the arithmetic of denormal numbers that is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from harness import Race
from layers import images_first, tensor
from machine import THREADS
from numpy import ndarray as Array
from perceptrons import FEW, jax_perceptron, numpy_perceptron
from worker import Contestant, elapsed

import minnet

RATES = {"SGD": 0.01, "Adam": 0.001}

Batches = list[tuple[Array, Array]]


@dataclass(frozen=True)
class Net:
    """The same net twice: in_torch takes minnet's weights, and gives a module and its weights in minnet's layout.

    shape: of a batch.  steps: how many batches are in a run.  others: contestants made from the weights, the batches
    and the learning rate.
    """

    title: str
    make: Callable[[], minnet.Sequential]
    shape: tuple[int, ...]
    in_torch: Callable[[list[Array]], tuple[Any, Callable[[], list[Array]]]]
    optimizer: str
    steps: int
    others: dict[str, Callable[[list[Array], Batches, float], Contestant]] = field(default_factory=dict)

    def batches(self) -> Batches:
        rng, n = np.random.default_rng(0), self.shape[0]
        return [(rng.random(self.shape, np.float32), rng.integers(0, 10, n)) for _ in range(self.steps)]


def perceptron(*sizes: int) -> minnet.Sequential:
    layers: list[minnet.Layer] = []
    for features, units in pairwise(sizes):
        layers += [minnet.Linear(features, units), minnet.ReLU()]
    return minnet.Sequential(*layers[:-1], minnet.SoftmaxCrossEntropy())


def torch_perceptron(sizes: tuple[int, ...], weights: list[Array]) -> tuple[Any, Callable[[], list[Array]]]:
    from torch import nn

    layers: list[Any] = []
    for features, units in pairwise(sizes):
        layers += [nn.Linear(features, units), nn.ReLU()]
    return transposed(nn.Sequential(*layers[:-1]), weights)


def transposed(module: Any, weights: list[Array]) -> tuple[Any, Callable[[], list[Array]]]:
    """A module given weights of which only the axes are in another order."""
    for parameter, array in zip(module.parameters(), weights, strict=True):
        parameter.data = tensor(array.T)
    return module, lambda: [parameter.detach().numpy().T for parameter in module.parameters()]


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


def torch_regularised(weights: list[Array]) -> tuple[Any, Callable[[], list[Array]]]:
    from torch import nn

    layers: list[Any] = []
    for features in (784, 1024):
        layers += [nn.Linear(features, 1024, bias=False), nn.BatchNorm1d(1024), nn.ReLU(), nn.Dropout(0.5)]
    return transposed(nn.Sequential(*layers, nn.Linear(1024, 10)), weights)


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


def perceptron_net(batch_size: int, *sizes: int, steps: int) -> Net:
    title = f"perceptron {'-'.join(map(str, sizes))}, batch {batch_size}, Adam"
    others = {"NumPy": numpy_perceptron, "JAX jit": jax_perceptron}
    make, in_torch = partial(perceptron, *sizes), partial(torch_perceptron, sizes)
    return Net(title, make, (batch_size, sizes[0]), in_torch, "Adam", steps, others)


NETS = {
    "small": perceptron_net(32, 64, 64, 10, steps=200),
    "perceptron": perceptron_net(128, 784, 256, 128, 10, steps=20),
    "large": perceptron_net(256, 784, 1024, 1024, 10, steps=6),
    "regularised": Net(
        "perceptron 784-1024-1024-10, batch 256, Adam, with batch norm and dropout",
        regularised,
        (256, 784),
        torch_regularised,
        "Adam",
        steps=6,
    ),
    "lenet": Net("LeNet on 28×28×1, batch 64, SGD", lenet, (64, 28, 28, 1), torch_lenet, "SGD", steps=8),
}


def net_race(name: str) -> Race:
    net = NETS[name]
    minnet.seed(0)
    model, batches = net.make(), net.batches()
    weights = [parameter.data.copy() for parameter in model.parameters()]
    contestants = {"minnet": partial(minnet_net, net, model, batches)}
    contestants |= {name: partial(make, weights, batches, RATES[net.optimizer]) for name, make in net.others.items()}
    contestants["PyTorch"] = partial(torch_net, net, weights, batches)
    if net.optimizer == "Adam":
        contestants["PyTorch fused Adam"] = partial(torch_net, net, weights, batches, fused=True)
    return Race(name, net.title, contestants, net.steps)


def minnet_net(net: Net, model: minnet.Sequential, batches: Batches) -> Contestant:
    optimizer = getattr(minnet, net.optimizer)(model.parameters(), RATES[net.optimizer])
    first, fresh = model.state_dict(), optimizer.state_dict()
    dropouts = [layer for layer in model if isinstance(layer, minnet.Dropout)]

    def steps(some: Batches) -> None:
        for x, y in some:
            model(x, y)
            model.backward()
            optimizer.step()

    def run(few: int | None = None) -> float:
        model.load_state_dict(first)
        optimizer.load_state_dict(fresh)
        return elapsed(partial(steps, batches[:few]))

    def parameters() -> list[Array]:
        return [parameter.data for parameter in model.parameters()]

    return Contestant(run, parameters, rehearse=partial(without_dropout, dropouts, run))


def torch_net(net: Net, weights: list[Array], batches: Batches, **how: bool) -> Contestant:
    import torch

    torch.set_num_threads(THREADS)
    module, ours = net.in_torch(weights)
    first = {name: array.clone() for name, array in module.state_dict().items()}
    optimizer = getattr(torch.optim, net.optimizer)(module.parameters(), RATES[net.optimizer], **how)
    criterion = torch.nn.CrossEntropyLoss()
    tensors = [(tensor(images_first(x)), torch.tensor(y)) for x, y in batches]
    dropouts = [layer for layer in module if isinstance(layer, torch.nn.Dropout)]

    def steps(some: list[Any]) -> None:
        for x, y in some:
            optimizer.zero_grad()
            loss = criterion(module(x), y)
            loss.backward()
            optimizer.step()
            loss.item()

    def run(few: int | None = None) -> float:
        module.load_state_dict(first)
        for state in optimizer.state.values():
            for array in state.values():
                array.zero_()
        return elapsed(partial(steps, tensors[:few]))

    return Contestant(run, ours, rehearse=partial(without_dropout, dropouts, run))


def without_dropout(dropouts: list[Any], run: Callable[[int], object]) -> None:
    """A few steps in which nothing is dropped, so that the arithmetic can be compared."""
    before = [layer.p for layer in dropouts]
    for layer in dropouts:
        layer.p = 0
    run(FEW)
    for layer, p in zip(dropouts, before):
        layer.p = p
