"""Layers that are called more than once before backward: whether they keep what backward needs of each call."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..layer import Layer
from ..random import generator
from .observation import Observation, Watch, copied

AGREE = 1e-3  # of the largest value: less is the order of adding
APART = "f0 b0 f1 b1"  # two calls, each with its backward
STACK, QUEUE = "f0 f1 b1 b0", "f0 f1 b0 b1"


def about_shared_layers(model: Layer, observation: Observation) -> Iterator[str]:
    """Layers that are called several times before several backwards, which can answer the last call only."""
    for watch in dict.fromkeys(observation.forwards):
        outermost = watch.caller is None or watch.caller.calls < 2
        several = watch.calls > 1 and watch.returns > 1
        if several and outermost and observation.call_and_reset(partial(_keeps_the_last, model, watch)):
            times = "twice" if watch.calls == 2 else f"{watch.calls} times"
            yield (
                f"{watch.title}, is called {times} before backward, but keeps the cache of the last call only: give it "
                "all inputs as one batch (np.concatenate) and split y, or use a second layer that shares the parameters"
            )


def _keeps_the_last(model: Layer, watch: Watch) -> bool:
    """Whether the gradients of two calls are others where both forwards come first."""
    layer, inputs = (
        model.walk(Layer)[watch.name],
        [watch.inputs, tuple(map(_other, watch.inputs[:1])) + watch.inputs[1:]],
    )
    try:
        expected = _gradients(layer, inputs, APART)
    except Exception:  # it can't be run by itself
        return False
    for script in (STACK, QUEUE):
        try:
            if _agree(_gradients(layer, inputs, script), expected):
                return False
        except Exception:  # it tells by itself that it can't
            pass
    return True


def _gradients(layer: Layer, inputs: list[Any], script: str) -> list[Array]:
    """The gradients of two calls: of what they are given, and of the parameters together."""
    layer, dy, dx = copy.deepcopy(layer).train(), [1.0, 1.0], [None, None]
    for p in layer.parameters():
        p.grad = np.zeros_like(p.data)
    for step in script.split():
        i = int(step[1])
        if step[0] == "f":
            y = layer.forward(*copied(inputs[i]))
            dy[i] = generator(i).normal(size=y.shape) if isinstance(y, Array) else 1.0
        else:
            dx[i] = layer.backward(dy[i])
    return [np.array(g) for g in (*dx, *(p.grad for p in layer.parameters())) if g is not None]


def _agree(got: list[Array], expected: list[Array]) -> bool:
    return len(got) == len(expected) and all(
        np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=AGREE, atol=AGREE * float(np.max(abs(b), initial=0)))
        for a, b in zip(got, expected)
    )


def _other(x: Any) -> Any:
    """Another input of the same shape; ids stay ids."""
    if isinstance(x, tuple):
        return tuple(map(_other, x))
    return x if not isinstance(x, Array) else 0.5 * np.flip(x) if x.dtype.kind == "f" else np.flip(x)
