"""How cost grows: the time per sample with the batch, and the time per parameter with the width, all in minnet."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
from harness import Goal, Race
from nets import perceptron
from worker import Contestant, elapsed

import minnet

BATCHES = [4**i for i in range(7)]
WIDTHS = [2**i for i in range(6, 12)]
NOISE = 1.05  # what the medians of two sizes may differ by, where their times are the same


def step_of(sizes: tuple[int, ...], batch_size: int, parts: int, steps: int) -> Contestant:
    """Seconds of a training step with SGD, divided by the parts: samples or parameters."""
    minnet.seed(0)
    model, rng = perceptron(*sizes), np.random.default_rng(0)
    x, y = rng.random((batch_size, sizes[0]), np.float32), rng.integers(0, sizes[-1], batch_size)
    optimizer = minnet.SGD(model.parameters(), lr=0.01)

    def work() -> None:
        for _ in range(steps):
            model(x, y)
            model.backward()
            optimizer.step()

    return Contestant(lambda: elapsed(work) / steps / parts)


def batch_race(name: str, *sizes: int) -> Race:
    contestants = {
        f"batch {n}": partial(step_of, sizes, n, parts=n, steps=max(1, min(50, 2**12 // n))) for n in BATCHES
    }
    return Race(name, f"time per sample, {'-'.join(map(str, sizes))}, SGD", contestants)


def width_race(batch_size: int = 256) -> Race:
    """Of the products: forward and dW in each layer, dx in all but the first, 2 operations a parameter and sample."""
    contestants, operations = {}, {}
    for width in WIDTHS:
        sizes, parameters = (width,) * 4, 3 * width * (width + 1)
        steps = max(1, 10 * 256**2 // width**2)
        contestants[f"width {width}"] = partial(step_of, sizes, batch_size, parameters, steps)
        operations[f"width {width}"] = 2 * batch_size * 8 * width**2 / parameters
    title = f"time per parameter of a square perceptron, three layers, batch {batch_size}, SGD"
    return Race("width", title, contestants, unit="ns", scale=1e-9, operations=operations)


def never_more(sizes: list[int], what: str) -> tuple[Goal, ...]:
    """Each size costs no more, per part, than the one before."""
    return tuple(Goal(f"{what} {n}", NOISE, f"{what} {m}") for n, m in pairwise(sizes))
