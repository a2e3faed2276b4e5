"""The memory of a training step, beside what its formulas need, and beside what PyTorch takes for it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
from harness import Race
from nets import NETS
from numpy import ndarray as Array
from processes import PROGRAMS, output
from worker import Contestant

import minnet


def memory_race(name: str) -> Race:
    net = NETS[name]
    x, y = net.batches()[0]
    contestants = {
        "minnet": partial(measured, partial(peak, net.make, x, y)),
        "the formulas": partial(measured, partial(needed, net.make, x)),
    }
    title = f"memory of a training step, {net.title.replace('SGD', 'Adam')}"
    return Race(f"memory-{name}", title, contestants, unit="MB", scale=1e6, rounds=(1, 1), warm_up=False)


def measured(count: Callable[[], float]) -> Contestant:
    return Contestant(count)


def peak(make: Callable[[], minnet.Sequential], x: Array, y: Array) -> float:
    """The most bytes that all arrays of model, optimizer and step take up at a time; the batch was there before."""
    tracemalloc.start()
    try:
        model = make()
        optimizer = minnet.Adam(model.parameters())
        for _ in range(2):  # in the second, what the first has left behind is there too
            tracemalloc.reset_peak()
            model(x, y)
            model.backward()
            optimizer.step()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def needed(make: Callable[[], minnet.Sequential], x: Array) -> float:
    """Every parameter, its gradient and two moments of Adam; the output of every layer; and the two gradients, of the
    output and of the input of a layer, that backward holds at a time, where these are largest.

    An output that is a view, as that of Flatten, is nothing of its own, and the first layer's dx is not wanted.
    """
    model = make()
    outputs = []
    for layer in model:
        y = layer(x)
        outputs.append(0 if np.shares_memory(x, y) else y.nbytes)
        x = y
    state = 4 * sum(parameter.data.nbytes for parameter in model.parameters())
    return state + sum(outputs) + max(dx + dy for dx, dy in pairwise(outputs))


def growth_race(name: str) -> Race:
    """By how much a process grows over what it holds before its first step: batches, weights, and all that the
    libraries have loaded. programs/step_growth.py says how that is measured.
    """
    contestants = {
        "minnet": partial(growth, name, "minnet", "minnet"),
        "PyTorch": partial(growth, name, "PyTorch", "torch"),
    }
    title = f"growth of the process at the peak of a training step, {NETS[name].title}"
    return Race(f"growth-{name}", title, contestants, unit="MB", scale=1e6, rounds=(3, 5), warm_up=False)


def growth(name: str, who: str, needs: str) -> Contestant:
    if not find_spec(needs):
        raise ImportError(f"No module named {needs!r}")
    norms: list[float] = []

    def run() -> float:
        bytes_, *norms[:] = map(float, output(str(PROGRAMS / "step_growth.py"), name, who).split())
        return bytes_

    return Contestant(run, lambda: [np.array(norms)])
