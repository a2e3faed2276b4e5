"""A step of a perceptron with Adam as one would write it by hand: in bare NumPy, and for JAX to compile.

Weights come as minnet has them, W and b of one layer after the other.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy import ndarray as Array
from softmax_regression import softmax_gradient
from worker import Contestant, elapsed

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
FEW = 2  # steps after which the contestants are compared
BLOCK = 2**15  # entries of every vector that Adam updates at a time, so that they stay in the cache


class NumpyPerceptron:
    """All weights in one vector, all gradients in another, and every product into an array that was made before."""

    def __init__(self, weights: list[Array], batch_size: int, lr: float) -> None:
        self.first, self.lr, self.ones = weights, lr, np.ones(batch_size, np.float32)
        self.vectors = np.zeros((4, sum(array.size for array in weights)), np.float32)
        self.w, self.g = (split(vector, weights) for vector in self.vectors[:2])
        self.scratch = np.empty(BLOCK, np.float32)
        self.units = [np.empty((batch_size, b.size), np.float32) for b in weights[1::2]]
        self.slopes = [np.empty_like(h) for h in self.units[:-1]]
        self.reset()

    def reset(self) -> None:
        self.vectors.fill(0)
        for array, first in zip(self.w, self.first):
            array[...] = first
        self.steps = 0

    def step(self, x: Array, y: Array) -> float:
        inputs = [x, *self.units[:-1]]
        for i, z in enumerate(self.units):
            np.dot(inputs[i], self.w[2 * i], out=z)
            z += self.w[2 * i + 1]
            if z is not self.units[-1]:
                np.maximum(z, 0, out=z)
        dz = self.units[-1]
        loss = softmax_gradient(dz, y)
        for i in range(len(self.units) - 1, -1, -1):
            np.dot(inputs[i].T, dz, out=self.g[2 * i])
            np.dot(self.ones, dz, out=self.g[2 * i + 1])
            if i:
                dz = np.dot(dz, self.w[2 * i].T, out=self.slopes[i - 1])
                dz *= inputs[i] > 0
        self.adam()
        return loss

    def adam(self) -> None:
        """m and v without their factors 1 − β, which the rate and ε make up for: fewer passes."""
        self.steps += 1
        scale = math.sqrt((1 - BETA2) / (1 - BETA2**self.steps))
        rate, eps = self.lr * (1 - BETA1) / (1 - BETA1**self.steps) / scale, EPS / scale
        for start in range(0, self.vectors.shape[1], BLOCK):
            w, g, m, v = self.vectors[:, start : start + BLOCK]
            s = self.scratch[: len(w)]
            m *= BETA1
            m += g
            g *= g
            v *= BETA2
            v += g
            np.sqrt(v, out=s)
            s += eps
            np.divide(m, s, out=s)
            s *= rate
            w -= s


def split(vector: Array, like: list[Array]) -> list[Array]:
    """Views of a vector, one after the other, in these shapes."""
    ends = np.cumsum([array.size for array in like])
    return [vector[end - array.size : end].reshape(array.shape) for end, array in zip(ends, like)]


def numpy_perceptron(weights: list[Array], batches: list[tuple[Array, Array]], lr: float) -> Contestant:
    net = NumpyPerceptron(weights, len(batches[0][0]), lr)

    def steps(few: int | None) -> None:
        for x, y in batches[:few]:
            net.step(x, y)

    def run(few: int | None = None) -> float:
        net.reset()
        return elapsed(partial(steps, few))

    return Contestant(run, lambda: net.w, rehearse=partial(run, FEW))


def jax_perceptron(weights: list[Array], batches: list[tuple[Array, Array]], lr: float) -> Contestant:
    import jax
    from jax import numpy as jnp

    def loss_of(w: Any, x: Any, y: Any) -> Any:
        for i in range(0, len(w) - 2, 2):
            x = jax.nn.relu(x @ w[i] + w[i + 1])
        log_p = jax.nn.log_softmax(x @ w[-2] + w[-1])
        return -log_p[jnp.arange(len(y)), y].mean()

    @jax.jit
    def step(state: Any, x: Any, y: Any) -> Any:
        w, m, v, t = state
        loss, g = jax.value_and_grad(loss_of)(w, x, y)
        t = t + 1
        m = [BETA1 * a + (1 - BETA1) * b for a, b in zip(m, g)]
        v = [BETA2 * a + (1 - BETA2) * b * b for a, b in zip(v, g)]
        scale, rate = jnp.sqrt(1 - BETA2**t), lr / (1 - BETA1**t)
        w = [a - rate * b / (jnp.sqrt(c) / scale + EPS) for a, b, c in zip(w, m, v)]
        return loss, (w, m, v, t)

    arrays = [(jnp.asarray(x), jnp.asarray(y.astype(np.int32))) for x, y in batches]
    zeros = [jnp.zeros(array.shape) for array in weights]
    first = [jnp.asarray(array) for array in weights], zeros, zeros, jnp.float32(0)
    state = {"now": first}

    def steps(few: int | None) -> None:
        for x, y in arrays[:few]:
            loss, state["now"] = step(state["now"], x, y)
            float(loss)
        jax.block_until_ready(state["now"])

    def run(few: int | None = None) -> float:
        state["now"] = first
        return elapsed(partial(steps, few))

    return Contestant(run, lambda: [np.asarray(array) for array in state["now"][0]], rehearse=partial(run, FEW))
