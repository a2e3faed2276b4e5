"""Training steps of whole nets, forward, backward and update, in minnet and in PyTorch from the same weights.

A run starts from the first weights again, untimed, and takes one step on each of some batches: a net that sees one
batch for ever learns it by heart, and then it is the arithmetic of denormal numbers that is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from harness import Race
from layers import channels_first, tensor
from machine import THREADS
from numpy import ndarray as Array
from operations import step_operations
from perceptrons import FEW
from worker import Contestant, elapsed

import minnet

Batches = list[tuple[Array, Array]]
Twin = tuple[Any, Callable[[], list[Array]]]


@dataclass(frozen=True)
class Net:
    """The same net twice: in_torch takes minnet's weights, and gives a module and its weights in minnet's layout.

    batch: draws one, x and y.  optimizer, options: the same for both.  steps: how many batches are in a run.
    others: contestants made from the weights, the batches and the learning rate.
    """

    title: str
    make: Callable[[], minnet.Sequential]
    batch: Callable[[np.random.Generator], tuple[Array, Array]]
    in_torch: Callable[[list[Array]], Twin]
    optimizer: str
    options: dict[str, float]
    steps: int
    clip_norm: float | None = None
    others: dict[str, Callable[[list[Array], Batches, float], Contestant]] = field(default_factory=dict)

    def batches(self) -> Batches:
        rng = np.random.default_rng(0)
        return [self.batch(rng) for _ in range(self.steps)]


def labelled(*shape: int) -> Callable[[np.random.Generator], tuple[Array, Array]]:
    """Random samples of ten classes."""
    return lambda rng: (rng.random(shape, np.float32), rng.integers(0, 10, shape[0]))


def with_weights(module: Any, weights: list[Array]) -> Twin:
    """A module given minnet's weights, which differ in the order of axes alone, of a Linear and of a Conv2d."""
    from torch.nn import Linear

    to_torch, to_ours = [], []
    for owner in module.modules():
        for parameter in owner.parameters(recurse=False):
            images, turned = parameter.ndim == 4, isinstance(owner, Linear)
            axes = range(parameter.ndim)
            to_torch.append((3, 2, 0, 1) if images else axes[::-1] if turned else axes)
            to_ours.append((2, 3, 1, 0) if images else axes[::-1] if turned else axes)
    for parameter, array, order in zip(module.parameters(), weights, to_torch, strict=True):
        parameter.data = tensor(array.transpose(order))
    return module, lambda: [p.detach().numpy().transpose(order) for p, order in zip(module.parameters(), to_ours)]


def net_race(name: str, net: Net) -> Race:
    contestants = net_contestants(net)
    operations = dict.fromkeys(contestants, step_operations(net.make(), net.batches()[0][0]))
    return Race(name, net.title, contestants, net.steps, operations=operations)


def net_contestants(net: Net) -> dict[str, Callable[[], Contestant]]:
    minnet.seed(0)
    model, batches = net.make(), net.batches()
    weights = [parameter.data.copy() for parameter in model.parameters()]
    contestants: dict[str, Callable[[], Contestant]] = {"minnet": partial(minnet_net, net, model, batches)}
    contestants |= {name: partial(make, weights, batches, net.options["lr"]) for name, make in net.others.items()}
    contestants["PyTorch"] = partial(torch_net, net, weights, batches)
    if net.optimizer == "Adam":
        contestants["PyTorch fused Adam"] = partial(torch_net, net, weights, batches, fused=True)
    return contestants


def minnet_net(net: Net, model: minnet.Sequential, batches: Batches) -> Contestant:
    optimizer = getattr(minnet, net.optimizer)(model.parameters(), **net.options, clip_norm=net.clip_norm)
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
    optimizer = getattr(torch.optim, net.optimizer)(module.parameters(), **net.options, **how)
    criterion = torch.nn.CrossEntropyLoss()
    tensors = [(tensor(channels_first(x) if x.ndim == 4 else x), torch.tensor(y.reshape(-1))) for x, y in batches]
    dropouts = [layer for layer in module if isinstance(layer, torch.nn.Dropout)]

    def steps(some: list[Any]) -> None:
        for x, y in some:
            optimizer.zero_grad()
            loss = criterion(module(x), y)
            loss.backward()
            if net.clip_norm:
                torch.nn.utils.clip_grad_norm_(module.parameters(), net.clip_norm)
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
